"""Missing numbers are predicted from the other numbers by rounds of ridge regressions (van Buuren's MICE, without draws)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..association import some_rows
from ..numbers import fill_unknown_columns, matrix
from ._filling import DEFAULTS, Filling, space

_MAX_COLUMNS = 100
_MAX_ROWS = 20_000
_ROUNDS = 4
_RIDGE = 1e-2
"""Penalty per row on standardised columns: keeps repeated columns from cancelling each other."""


@dataclass(frozen=True)
class IterativeFilling:
    """Regressions of each column on the others.

    Attributes
    ----------
    names : tuple of str
    center, scale, low, high : ndarray (n_names,)
        Standardisation, and the bounds of a filled value: the training range.
    slopes : ndarray (n_rounds, n_names, n_names)
        Row j of a round: how the standardised columns predict column j; its own slope is 0.
    rest : Filling
        0/1 columns, indicators and categories.
    """

    names: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slopes: np.ndarray
    rest: Filling

    def apply(self, table: Table) -> Table:
        """Fill the gaps: means first, then each column's prediction in every round."""
        original = matrix(table, self.names)
        gaps = np.isnan(original)
        if not gaps.any():
            return self.rest.apply(table)
        standard = np.nan_to_num((original - self.center) / self.scale)
        for slopes in self.slopes:
            for column in np.flatnonzero(gaps.any(axis=0)):
                rows = gaps[:, column]
                standard[rows, column] = standard[rows] @ slopes[column]
        filled = np.clip(standard * self.scale + self.center, self.low, self.high)
        columns = {
            name: pd.Series(np.where(gaps[:, i], filled[:, i], original[:, i]), index=table.frame.index)
            for i, name in enumerate(self.names)
            if gaps[:, i].any()
        }
        typed = {name: series.astype(table.frame[name].dtype) for name, series in columns.items()}
        complete = table.replace(table.frame.assign(**typed))
        # The indicators must see the gaps, the columns must not be filled twice.
        extra = self.rest.apply(table)
        return extra.replace(extra.frame.assign(**{name: complete.frame[name] for name in typed}))


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, IterativeFilling]:
    """Fit the regressions round by round, from at most 20,000 rows."""
    names = tuple(table.columns(Role.NUMERIC))
    sample = table.take(some_rows(len(table.frame), _MAX_ROWS, context.seed))
    values = fill_unknown_columns(matrix(sample, names))
    center, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(np.abs(center), 1e-18), spread, 1.0)
    gaps = np.isnan(values)
    standard = np.nan_to_num((values - center) / scale)
    slopes = np.zeros((_ROUNDS, len(names), len(names)))
    for number in range(_ROUNDS):
        for column in range(len(names)):
            known = ~gaps[:, column]
            slopes[number, column] = _ridge(standard[known], column)
            standard[~known, column] = standard[~known] @ slopes[number, column]
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    rest = Filling.fit(table, center, params)
    transform = IterativeFilling(names, center, scale, low, high, slopes, rest)
    return transform.apply(table), transform


def _ridge(standard: np.ndarray, column: int) -> np.ndarray:
    """Slopes (n_columns,) that predict one column from the others; 0 for itself."""
    n_rows, n_columns = standard.shape
    others = np.arange(n_columns) != column
    X = standard[:, others]
    slopes = np.zeros(n_columns)
    penalty = _RIDGE * max(n_rows, 1) * np.eye(n_columns - 1)
    slopes[others] = np.linalg.solve(X.T @ X + penalty, X.T @ standard[:, column])
    return slopes


def applies(shape: DataShape) -> str | None:
    """Needs gaps, and some numeric columns but not hundreds."""
    if shape.missing_share == 0.0:
        return "no missing values"
    if shape.n_numeric < 2:
        return "fewer than two numeric columns"
    return None if shape.n_numeric <= _MAX_COLUMNS else f"more than {_MAX_COLUMNS} numeric columns"


COMPONENT = Component(
    key="impute_iterative",
    slot="clean",
    group="impute",
    title="Iterative imputation",
    summary="Predicts missing numbers from the other numbers, a few rounds of ridge regression: for correlated measurements.",
    order=30,
    defaults=DEFAULTS,
    space=space,
    applies=applies,
    fit_table=fit,
)
