"""The pool of members: which of a run's solutions are worth combining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .evaluation import Evaluation
from .experiment import Experiment
from .leaderboard import Ranked, contenders

_POOL = 24
_PER_LEARNER = 3
_ALIKE = 0.01
_COMPARED_ROWS = 2_000


def member_pool(experiment: Experiment) -> list[Evaluation]:
    """Solutions worth combining: the best ones that keep to the run's limits, at most three per learner and none that predicts like
    one before it, so that variants of one learner do not crowd out the rest."""
    return pool_of(experiment, contenders(experiment))


def pool_of(experiment: Experiment, ranking: Sequence[Ranked]) -> list[Evaluation]:
    """The same from any ranking, whatever the limits."""
    pool: list[Evaluation] = []
    samples: list[np.ndarray] = []
    per_learner: dict[str, int] = {}
    for ranked in ranking:
        learner = ranked.evaluation.solution.model.component
        if ranked.family == "dummy" or per_learner.get(learner, 0) >= _PER_LEARNER:
            continue
        evaluation = experiment.evaluator.recall(ranked.evaluation.solution)
        if evaluation is None or evaluation.oof is None:
            continue
        sample = _sample(evaluation.oof)
        if any(_alike(sample, known) for known in samples):
            continue
        samples.append(sample)
        per_learner[learner] = per_learner.get(learner, 0) + 1
        pool.append(evaluation)
        if len(pool) == _POOL:
            break
    return pool


def _sample(oof: np.ndarray) -> np.ndarray:
    """Predictions (about 2,000 rows, n_outputs) that stand for all; the same rows for every member."""
    known = oof[~np.isnan(oof).any(axis=1)]
    return np.asarray(known[:: len(known) // _COMPARED_ROWS + 1])


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two members predict so nearly the same that a combination gains nothing from having both."""
    return bool(np.abs(one - other).mean() < _ALIKE * one.std(axis=0).mean())
