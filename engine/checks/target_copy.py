"""Finds columns that are the target in other words."""

from __future__ import annotations

from collections.abc import Sequence

from ..checking import as_numbers, columns_seen, sample
from ..experiment import Experiment
from ..leakage import copies_target
from ..plugins import Check, Finding, NotApplicable

_SCREEN_ROWS = 5_000
_MIN_ROWS = 20


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    dataset, task = experiment.dataset, experiment.task
    development = experiment.split.development
    if len(development) < _MIN_ROWS:
        return NotApplicable(f"{len(development)} development rows are too few to tell a copy from chance")
    screen = sample(development, _SCREEN_ROWS, experiment.seed)
    found = []
    for name in columns_seen(experiment):
        series = dataset.frame[name]
        # A sample tells most columns apart; only what survives it is looked at in full.
        if not all(
            copies_target(as_numbers(series.iloc[rows]), dataset.y[rows], task.kind, len(task.classes))
            for rows in (screen, development)
        ):
            continue
        found.append(
            Finding(
                CHECK.code,
                "critical",
                f"{name} is a copy of the target",
                f"{name} maps one to one to {dataset.target} on {len(development):,} development rows",
                f"leave {name} out (id_columns) unless it is truly known before the prediction is needed",
            )
        )
    return found


CHECK = Check(
    "LEAK_TARGET_COPY",
    "Copies of the target",
    "A column that maps one to one to the classes, or is a monotone function of the target value.",
    "data",
    _run,
)
