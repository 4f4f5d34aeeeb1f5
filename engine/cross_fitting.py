"""Scores of combinations that are honest: what is chosen or learnt for a fold is chosen or learnt on other folds.

Where time orders the folds, only on earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed

from .deadline import Deadline
from .errors import DeadlinePassed
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .plugins import Ensemble
from .task import Task


def cross_fitted_scores(
    experiment: Experiment, strategy: Ensemble, members: Sequence[Evaluation], deadline: Deadline
) -> tuple[float, ...]:
    """Score a strategy fold by fold, its weights learnt on other folds only.

    Raises `DeadlinePassed` as soon as the first fit shows that all of them, and the last one on all rows, would take too long.
    """
    folds = [fold for fold in experiment.evaluator.folds if fold.repeat == 0]
    y, task = experiment.dataset.y, experiment.task

    def score_of(number: int) -> float:
        fold = folds[number]
        others = folds[:number] if experiment.split.kind == "time" else folds[:number] + folds[number + 1 :]
        held = stack_of(members, fold.valid)
        if others:
            rows = np.concatenate([other.valid for other in others])
            prediction = strategy.fit(stack_of(members, rows), y[rows], task, experiment.seed).combine(held)
        else:
            prediction = _middle(held, task)
        return task.metric.score(y[fold.valid], prediction)

    scores: list[float] = []
    started, at_once = deadline.elapsed(), experiment.resources.threads
    while len(scores) < len(folds):
        done = len(scores)
        if done and (deadline.elapsed() - started) / done * (len(folds) + 1 - done) > deadline.remaining():
            raise DeadlinePassed(f"{strategy.key} would take longer than the time left")
        # The first one alone tells what they take, however many threads there are.
        wave = range(done, min(done + (at_once if done else 1), len(folds)))
        scores += Parallel(n_jobs=at_once, backend="threading")(delayed(score_of)(number) for number in wave)
    return tuple(scores)


def cross_fitted_choice(experiment: Experiment, members: Sequence[Evaluation]) -> tuple[float, ...]:
    """Score of "take the best single solution", fold by fold: picked on the other folds (the earlier ones for time)."""
    table = np.array([member.scores for member in members])
    if not experiment.task.metric.greater_is_better:
        table = -table
    n_folds = table.shape[1]
    scores = []
    for fold in range(n_folds):
        earlier = experiment.split.kind == "time"
        known = [other for other in range(n_folds) if (other < fold if earlier else other != fold)]
        scores.append(table[table[:, known].mean(axis=1).argmax(), fold] if known else np.nan)
    signed = [float(score) if experiment.task.metric.greater_is_better else -float(score) for score in scores]
    if np.isnan(signed[0]):
        # Before the first block in time nothing is known about any of them, as for every strategy.
        first = experiment.evaluator.folds[0].valid
        middle = _middle(stack_of(members, first), experiment.task)
        signed[0] = experiment.task.metric.score(experiment.dataset.y[first], middle)
    return tuple(signed)


def _middle(stack: np.ndarray, task: Task) -> np.ndarray:
    """Combine members (n_members, n_rows, n_outputs) of which nothing is known, as on the first block in time: their median. One
    member that runs away beyond the range of the past must not stand for what a choice among them would give."""
    middle = np.median(stack, axis=0)
    if task.is_classification:
        # The medians of probabilities need not sum to 1.
        total = middle.sum(axis=1, keepdims=True)
        middle = np.where(total > 0.0, middle / np.where(total > 0.0, total, 1.0), 1.0 / middle.shape[1])
    return np.asarray(middle)
