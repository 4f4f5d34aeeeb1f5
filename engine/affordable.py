"""What the rest of a run can afford: solutions that can be fitted in the time there will be, and used within its limits."""

from __future__ import annotations

from collections.abc import Sequence

from .evaluation import Evaluation, fit_seconds
from .experiment import Experiment

_FIT_MARGIN = 1.1
"""Foreseen seconds are exceeded by a tenth now and then, and the checks after the fits want theirs."""
_SLACK = 1.4


def affordable_members(experiment: Experiment, members: Sequence[Evaluation]) -> list[Evaluation]:
    """The first of these members that can be used together."""
    kept: list[Evaluation] = []
    for member in members:
        if can_be_used(experiment, [*kept, member]):
            kept.append(member)
    return kept


def can_be_used(experiment: Experiment, members: Sequence[Evaluation], fits: float | None = None) -> bool:
    """Whether all of them can be fitted so often (by default as often as they should be) in the time there will be, and used within
    the run's limits."""
    fits = experiment.fewest_final_fits if fits is None else fits
    in_time = _FIT_MARGIN * fit_seconds(members, fits) <= experiment.seconds_for_fits
    return in_time and experiment.limits.allow(member.footprint for member in members)


def can_be_fitted_once(experiment: Experiment, members: Sequence[Evaluation]) -> bool:
    """The same for one fit on development rows, with time to spare: there is nothing to fall back on."""
    return can_be_used(experiment, members, _SLACK * experiment.one_final_fit)
