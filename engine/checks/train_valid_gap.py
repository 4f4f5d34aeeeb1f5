"""Finds a chosen model that knows its training rows much better than others."""

from __future__ import annotations

from collections.abc import Sequence

from ..examination import examine_fold
from ..experiment import Experiment
from ..final import chosen
from ..plugins import Check, Finding, NotApplicable

_INFO = 0.05
_WARNING = 0.25


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    seen = examine_fold(experiment, chosen(experiment))
    if isinstance(seen, NotApplicable):
        return seen
    gap = seen.judged_gap
    if isinstance(gap, NotApplicable):
        return gap
    if gap <= _INFO:
        return []
    return [
        Finding(
            CHECK.code,
            "warning" if gap > _WARNING else "info",
            "The model scores better on rows it has seen",
            f"{experiment.task.metric.title} {seen.train:.4g} on training rows, {seen.valid:.4g} on validation rows "
            f"({gap:.0%}), measured on one fold with {seen.member}",
            "trust the validation score; more rows or stronger regularisation narrow the gap (usual for boosting)",
        )
    ]


CHECK = Check(
    "TRAIN_VALID_GAP",
    "Gap between training and validation",
    "Refits one fold of the chosen solution and scores both sides.",
    "model",
    _run,
)
