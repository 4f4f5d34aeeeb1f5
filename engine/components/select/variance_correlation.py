"""Leave out numbers that hardly vary, and one of each pair that says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_some_columns
from ..association import mutual_information, some_rows
from ..dropped import Dropped
from ..numbers import matrix

if TYPE_CHECKING:
    import optuna

_MAX_ROWS = 10_000
_NEARLY_ALL = 0.999


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Dropped]:
    """Compare numeric and 0/1 columns on at most 10,000 rows; of a correlated pair the one that tells more stays."""
    names = table.columns(Role.NUMERIC, Role.BOOLEAN)
    n_rows = len(table.frame)
    if n_rows < 3 or not names:
        return table, Dropped(())
    values = matrix(table.take(some_rows(n_rows, _MAX_ROWS, context.seed)), names)
    flat = _share_of_middle(values) > _NEARLY_ALL
    repeated = _repeated(values, mutual_information(table, names, y, context), float(params["threshold"] or 1.0), flat)
    transform = Dropped(tuple(name for name, gone in zip(names, flat | repeated, strict=True) if gone))
    return transform.apply(table), transform


def _share_of_middle(values: np.ndarray) -> np.ndarray:
    """Share of the rows (n_columns,) that hold the column's middle value, or no value."""
    middle = np.partition(values, len(values) // 2, axis=0)[len(values) // 2]
    return np.asarray(np.maximum((values == middle).mean(axis=0), np.isnan(values).mean(axis=0)))


def _repeated(values: np.ndarray, information: np.ndarray, threshold: float, flat: np.ndarray) -> np.ndarray:
    """Columns (n_columns,) whose absolute correlation with a more informative one exceeds the threshold."""
    known = ~np.isnan(values)
    center = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centered = np.where(known, values - center, 0.0)
    length = np.sqrt((centered**2).sum(axis=0))
    unit = (centered / np.where(length > 0.0, length, 1.0)).astype(np.float32)
    correlation = np.abs(unit.T @ unit)
    gone = np.zeros(values.shape[1], dtype=bool)
    for number in np.argsort(-information, kind="stable"):
        if not gone[number] and not flat[number]:
            rivals = correlation[number] > threshold
            # Rivals that were ranked before would have removed this column already.
            rivals[number] = False
            gone |= rivals
    return gone


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Absolute correlation from which two columns count as the same."""
    return {"threshold": trial.suggest_float("threshold", 0.8, 0.999)}


COMPONENT = Component(
    key="variance_correlation",
    slot="select",
    group="select",
    title="Drop flat and correlated columns",
    summary="Leaves out numbers that hardly vary and the weaker one of highly correlated pairs: for wide tables and linear models.",
    defaults={"threshold": 0.98},
    space=space,
    applies=needs_some_columns,
    fit_table=fit,
)
