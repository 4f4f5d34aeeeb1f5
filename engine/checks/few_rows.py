"""Says so where so few rows are known that a score may be luck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..experiment import Experiment
from ..plugins import Check, Finding

_FEW_ROWS, _FEW_OF_A_CLASS = 100, 20


def _run(experiment: Experiment) -> Sequence[Finding]:
    task, y = experiment.task, experiment.dataset.y[experiment.split.development]
    counts = np.bincount(y.astype(np.int64), minlength=2) if task.kind == "binary" else np.array([len(y)])
    few = int(counts.min())
    if len(y) >= _FEW_ROWS and few >= _FEW_OF_A_CLASS:
        return []
    per_fold = few / len(experiment.evaluator.folds)
    of_class = f", {few:,} of them {task.classes[int(counts.argmin())][:40]!r}" if task.kind == "binary" else ""
    return [
        Finding(
            CHECK.code,
            "warning",
            "Few rows to learn from and to score",
            f"{len(y):,} rows{of_class}: each fold scores about {per_fold:.0f} of these, so that a few lucky ones make a score, "
            "and its interval and p-value say less than they seem to",
            "collect more rows before anything rests on this score",
        )
    ]


CHECK = Check(
    "FEW_ROWS",
    "Enough rows",
    "So few rows, or rows of one of two classes, that scores rest on a handful.",
    "data",
    _run,
)
