"""Finds validation rows whose exact twin lies in the training rows: their score is partly memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import row_hashes
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable, Severity
from ..roles import FEATURE_ROLES

_WARNING_SHARE = 0.01


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    dataset = experiment.dataset
    names = dataset.table.columns(*FEATURE_ROLES)
    if not names:
        return NotApplicable("there are no feature columns")
    hashes = row_hashes(dataset.frame[names])
    twins = same_target = n_valid = 0
    for fold in experiment.evaluator.folds:
        known = np.isin(hashes[fold.valid], hashes[fold.train])
        with_target = {(a, b) for a, b in zip(hashes[fold.train], dataset.y[fold.train], strict=True)}
        rows = fold.valid[known]
        same_target += sum((hashes[row], dataset.y[row]) in with_target for row in rows)
        twins += int(known.sum())
        n_valid += len(fold.valid)
    if twins == 0:
        return []
    share = twins / n_valid
    severity: Severity = "warning" if share >= _WARNING_SHARE else "info"
    return [
        Finding(
            CHECK.code,
            severity,
            "Duplicate rows lie on both sides of the folds",
            f"{twins:,} of {n_valid:,} validation rows ({share:.1%}) equal a training row in every feature; {same_target:,} of "
            f"them have such a twin with the same target, {twins - same_target:,} only twins that contradict it",
            "remove the duplicates or pass group_column, so that twins stay on one side; until then expect less on new rows",
        )
    ]


CHECK = Check(
    "LEAK_DUPLICATE_ROWS",
    "Duplicate rows across folds",
    "Exact duplicates in all features between training and validation rows, with equal or contradicting targets.",
    "data",
    _run,
)
