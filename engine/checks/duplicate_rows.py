"""Finds validation rows whose exact twin lies in the training rows: their score is partly memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..checking import row_hashes
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable, Severity
from ..roles import FEATURE_ROLES

_WARNING_SHARE = 0.01
_ROWS_TO_SHUFFLE = 200_000
_OF_CHANCE = 0.5
"""With so much of the share explained by chance, twins are what such a table has."""


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
    by_chance = _twins_by_chance(experiment, dataset.frame[names])
    expected = by_chance >= _OF_CHANCE * share
    severity: Severity = "warning" if share >= _WARNING_SHARE and not expected else "info"
    return [
        Finding(
            CHECK.code,
            severity,
            "Duplicate rows lie on both sides of the folds",
            f"{twins:,} of {n_valid:,} validation rows ({share:.1%}) equal a training row in every feature; {same_target:,} of "
            f"them have such a twin with the same target, {twins - same_target:,} only twins that contradict it"
            + (
                f"; with columns shuffled it would be {by_chance:.1%}: rows have few possible values"
                if expected
                else ""
            ),
            "nothing: new rows will have twins among these, too"
            if expected
            else "remove the duplicates or pass group_column, so that twins stay on one side; until then expect less on new rows",
        )
    ]


def _twins_by_chance(experiment: Experiment, features: pd.DataFrame) -> float:
    """Share of validation rows that would have a twin if no two columns had anything to do with each other; 0.0 on more rows than
    are worth a copy of the table."""
    if len(features) > _ROWS_TO_SHUFFLE:
        return 0.0
    generator = np.random.default_rng(experiment.seed)
    shuffled = {name: features[name].array.take(generator.permutation(len(features))) for name in features.columns}
    hashes = row_hashes(pd.DataFrame(shuffled))
    folds = experiment.evaluator.folds
    return sum(int(np.isin(hashes[fold.valid], hashes[fold.train]).sum()) for fold in folds) / sum(
        len(fold.valid) for fold in folds
    )


CHECK = Check(
    "LEAK_DUPLICATE_ROWS",
    "Duplicate rows across folds",
    "Exact duplicates in all features between training and validation rows, with equal or contradicting targets.",
    "data",
    _run,
)
