"""Finds a chosen model that answers the same for every row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..experiment import Experiment
from ..final import chosen, out_of_fold
from ..plugins import Check, Finding, NotApplicable

_SAME = 1e-9


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    oof = out_of_fold(experiment, chosen(experiment))
    folds = [fold for fold in experiment.evaluator.folds if fold.repeat == 0]
    scale = max(float(np.nanmax(np.abs(oof))), np.finfo(np.float64).tiny)
    constant = sum(bool((np.ptp(oof[fold.valid], axis=0) <= _SAME * scale).all()) for fold in folds)
    if constant == 0:
        return []
    return [
        Finding(
            CHECK.code,
            "critical",
            "The model predicts the same value for every row",
            f"no variation in the predictions of {constant} of {len(folds)} folds",
            "no column helps to predict this target, or the model was cut too early: check the columns, give more time",
        )
    ]


CHECK = Check(
    "CONSTANT_PREDICTIONS", "Constant predictions", "Folds whose out-of-fold predictions do not vary.", "model", _run
)
