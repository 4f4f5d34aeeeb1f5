"""Finds a chosen model whose score depends on the fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..experiment import Experiment
from ..final import chosen
from ..plugins import Check, Finding, NotApplicable

_INFO = 0.05
_WARNING = 0.15


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    scores = np.asarray(chosen(experiment).scores)
    if len(scores) < 2 or scores.mean() == 0.0:
        return NotApplicable("needs at least two folds and a mean score other than 0")
    share = float(scores.std(ddof=1) / abs(scores.mean()))
    if share <= _INFO:
        return []
    metric = experiment.task.metric
    worst = float(scores.min() if metric.greater_is_better else scores.max())
    return [
        Finding(
            CHECK.code,
            "warning" if share > _WARNING else "info",
            "The score depends on the fold",
            f"standard deviation {share:.1%} of the mean {metric.title} {scores.mean():.4g}; worst fold {worst:.4g}",
            "expect such swings on new data; more rows help, and so does a look at what sets the worst fold apart",
        )
    ]


CHECK = Check(
    "FOLD_INSTABILITY", "Stability over folds", "Standard deviation of the fold scores over their mean.", "model", _run
)
