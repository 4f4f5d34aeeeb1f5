"""Finds columns that number or name the rows but would be used as features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from ..checking import as_numbers, sample
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable
from ..roles import Role

_ROWS = 20_000
_MIN_ROWS = 100
_UNIQUE_NUMBERS = 0.995
_IN_FILE_ORDER = 0.999
_LEVELS_PER_ROW = 0.5


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    dataset = experiment.dataset
    rows = sample(experiment.split.development, _ROWS, experiment.seed)
    if len(rows) < _MIN_ROWS:
        return NotApplicable(f"fewer than {_MIN_ROWS} development rows")
    places = rankdata(dataset.row_ids[rows])
    found = []
    for name in dataset.table.columns(Role.NUMERIC, Role.CATEGORICAL):
        values = as_numbers(dataset.frame[name].iloc[rows])
        present = ~np.isnan(values)
        if present.sum() < _MIN_ROWS:
            continue
        unique_share = len(np.unique(values[present])) / present.sum()
        if dataset.feature_roles[name] is Role.CATEGORICAL:
            if unique_share > _LEVELS_PER_ROW:
                found.append(_finding(name, f"one level per {1 / unique_share:.1f} rows"))
        elif unique_share >= _UNIQUE_NUMBERS and _counts(values[present], places[present], len(dataset.y)):
            found.append(
                _finding(name, f"{unique_share:.1%} of its whole numbers are distinct and they count the rows")
            )
    return found


def _counts(values: np.ndarray, places: np.ndarray, n_rows: int) -> bool:
    """Whole numbers that follow the file order, or fill a range about as long as the table."""
    if not np.array_equal(values, np.round(values)):
        return False
    follows = abs(np.corrcoef(rankdata(values), places)[0, 1]) >= _IN_FILE_ORDER
    return bool(follows or np.ptp(values) < 2 * n_rows)


def _finding(name: str, evidence: str) -> Finding:
    return Finding(
        CHECK.code,
        "warning",
        f"{name} looks like an identifier and is used as a feature",
        evidence,
        f"pass id_columns=['{name}'] if new rows will carry new values of it",
    )


CHECK = Check(
    "ID_FEATURE",
    "Identifiers used as features",
    "Columns that count rows or have nearly a level per row.",
    "data",
    _run,
)
