"""Measures how much of the score comes from validation rows that have an exact twin in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import row_hashes
from ..experiment import Experiment
from ..final import chosen, out_of_fold
from ..plugins import Check, Finding, NotApplicable
from ..roles import FEATURE_ROLES

_MIN_TWINS = 30
_SHARE = 0.01


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    dataset, metric = experiment.dataset, experiment.task.metric
    hashes = row_hashes(dataset.frame[dataset.table.columns(*FEATURE_ROLES)])
    folds = [fold for fold in experiment.evaluator.folds if fold.repeat == 0]
    twins = [np.isin(hashes[fold.valid], hashes[fold.train]) for fold in folds]
    if sum(int(known.sum()) for known in twins) < _MIN_TWINS:
        return NotApplicable(f"fewer than {_MIN_TWINS} validation rows have a twin in training")
    oof = out_of_fold(experiment, chosen(experiment))
    every, alone = [], []
    for fold, known in zip(folds, twins, strict=True):
        rest = fold.valid[~known]
        if len(rest) < _MIN_TWINS or (experiment.task.is_classification and len(np.unique(dataset.y[rest])) < 2):
            return NotApplicable("too few validation rows without a twin in a fold")
        every.append(metric.score(dataset.y[fold.valid], oof[fold.valid]))
        alone.append(metric.score(dataset.y[rest], oof[rest]))
    with_twins, without = float(np.mean(every)), float(np.mean(alone))
    share = metric.gain(with_twins, without) / abs(without) if without else 0.0
    if share <= _SHARE:
        return []
    return [
        Finding(
            CHECK.code,
            "warning",
            "Duplicate rows flatter the score",
            f"{metric.title} {with_twins:.4g} on all validation rows, {without:.4g} on those without a twin in training "
            f"({share:.1%})",
            "read the second number as the estimate for new rows",
        )
    ]


CHECK = Check(
    "DUPLICATE_OPTIMISM",
    "Score without duplicate rows",
    "The out-of-fold score on validation rows that have no exact twin in the training rows.",
    "model",
    _run,
)
