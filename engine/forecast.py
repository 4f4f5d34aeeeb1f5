"""What the rest of a run will need: the time for the final fits of what is chosen, or of an ensemble that does not exist yet."""

from __future__ import annotations

import logging

from .ensembling import NO_SCORE, members_for, strategies_for
from .evaluation import fit_seconds, stack_of
from .experiment import Experiment
from .final import chosen
from .leaderboard import best_single, leaderboard
from .pool import member_pool

log = logging.getLogger(__name__)

_SAMPLE_ROWS = 4_000
_AT_MOST = 1.3


def chosen_fit_seconds(experiment: Experiment) -> float:
    """Seconds that all final fits of what is chosen now will take at most, going by what fits beyond the foreseen have taken."""
    return _AT_MOST * fit_seconds(chosen(experiment).members, experiment.final_fits)


def expected_fit_seconds(experiment: Experiment) -> float:
    """Seconds that all final fits of the ensemble to come will take, as far as the pool tells now: those of the members that the
    first strategy would use, on a sample of rows."""
    pool = member_pool(experiment)
    if not pool and leaderboard(experiment):
        pool = [best_single(experiment).evaluation]
    if len(pool) < 2:
        return fit_seconds(pool, experiment.final_fits)
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
