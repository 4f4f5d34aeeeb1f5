"""What the rest of a run will need: the time for the final fits of an ensemble that does not exist yet."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .deadline import Deadline
from .ensembling import NO_SCORE, compare_with_best, members_for, strategies_for
from .evaluation import Evaluation, fit_seconds, stack_of
from .experiment import Experiment
from .leaderboard import best_single, leaderboard
from .pool import member_pool

log = logging.getLogger(__name__)

_SAMPLE_ROWS = 4_000


def expected_fit_seconds(experiment: Experiment, look: Deadline | None = None) -> float:
    """Seconds that all final fits of the ensemble to come will take, as far as the pool tells now.

    Parameters
    ----------
    look : Deadline, optional
        Until when strategies are compared, as `build_ensemble` does, for the one that would be kept; by default it is the first
        one, on a sample of rows.
    """
    pool = member_pool(experiment)
    if not pool and leaderboard(experiment):
        pool = [best_single(experiment).evaluation]
    if len(pool) < 2:
        return fit_seconds(pool, experiment.final_fits)
    if look is not None and (kept := _kept_now(experiment, look, pool)) is not None:
        return fit_seconds(kept, experiment.final_fits)
    first = strategies_for(experiment)[0]
    members = members_for(first, pool)
    covered = experiment.evaluator.covered
    rows = covered[:: len(covered) // _SAMPLE_ROWS + 1]
    try:
        weights = first.fit(
            stack_of(members, rows), experiment.dataset.y[rows], experiment.task, experiment.seed
        ).weights
    except NO_SCORE as error:
        log.info("no forecast of the ensemble to come: %s", error)
        weights = None
    weights = weights or (1.0,) * len(members)
    used = [member for member, weight in zip(members, weights, strict=True) if weight > 0.0]
    return fit_seconds(used, experiment.final_fits)


def _kept_now(experiment: Experiment, look: Deadline, pool: Sequence[Evaluation]) -> list[Evaluation] | None:
    """Members of what would be kept now, or None where the time for a look does not tell."""
    try:
        result = compare_with_best(experiment, look, pool, strategies_for(experiment))
    except NO_SCORE as error:
        log.info("no look at the ensemble to come: %s", error)
        return None
    if not any(row.score is not None for row in result.tried):
        return None
    # The best single solution need not be in the pool: one that predicts alike can stand for it there.
    known = {member.key: member for member in [*pool, best_single(experiment).evaluation]}
    return [known[member.key] for member in result.members]
