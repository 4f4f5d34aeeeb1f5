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
    per_learner: dict[str, int] = {}
    for ranked in ranking:
        learner = ranked.evaluation.solution.model.component
        if ranked.family == "dummy" or per_learner.get(learner, 0) >= _PER_LEARNER:
            continue
        evaluation = experiment.evaluator.recall(ranked.evaluation.solution)
        if evaluation is None or evaluation.oof is None or any(_alike(evaluation, known) for known in pool):
            continue
        per_learner[learner] = per_learner.get(learner, 0) + 1
        pool.append(evaluation)
        if len(pool) == _POOL:
            break
    return pool


def _alike(one: Evaluation, other: Evaluation) -> bool:
    """Whether two members predict so nearly the same that a combination gains nothing from having both."""
    if one.oof is None or other.oof is None:
        return False
    a, b = one.oof[~np.isnan(one.oof).any(axis=1)], other.oof[~np.isnan(other.oof).any(axis=1)]
    every = slice(None, None, len(a) // _COMPARED_ROWS + 1)
    return bool(np.abs(a[every] - b[every]).mean() < _ALIKE * a[every].std(axis=0).mean())
