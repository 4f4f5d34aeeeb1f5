"""Numeric columns become their principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..association import some_rows
from ..numbers import add_numbers, fill_unknown_columns, fresh_names, matrix

if TYPE_CHECKING:
    import optuna

_MAX_ROWS = 50_000
_MAX_COLUMNS = 1000


@dataclass(frozen=True)
class PrincipalComponents:
    """Standardisation and `axes` (n_names, n_components)."""

    names: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Replace the columns by their components; a missing value counts as the mean."""
        standard = np.nan_to_num((matrix(table, self.names) - self.center) / self.scale)
        return add_numbers(table.drop(self.names), self.outputs, standard @ self.axes)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, PrincipalComponents]:
    """Find the components that make up the share of the variance, from at most 50,000 rows."""
    names = tuple(table.columns(Role.NUMERIC))
    rows = some_rows(len(table.frame), _MAX_ROWS, context.seed)
    values = fill_unknown_columns(matrix(table.take(rows), names))
    center, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(np.abs(center), 1e-18), spread, 1.0)
    standard = np.nan_to_num((values - center) / scale)
    variance, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
    variance, vectors = np.maximum(variance[::-1], 0.0), vectors[:, ::-1]
    reached = np.cumsum(variance) / max(float(variance.sum()), 1e-12)
    n_kept = min(len(names), int(np.searchsorted(reached, float(params["share"] or 0.0))) + 1)
    axes = vectors[:, :n_kept]
    # The sign of an axis is arbitrary; its largest entry is made positive so that equal data give equal features.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None, :], axis=0) if names else axes
    outputs = fresh_names(table, (f"component{i}" for i in range(n_kept)))
    transform = PrincipalComponents(names, center, scale, axes * np.where(largest < 0.0, -1.0, 1.0), tuple(outputs))
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Share of the variance that is kept."""
    return {"share": trial.suggest_float("share", 0.6, 0.999)}


def applies(shape: DataShape) -> str | None:
    """Needs several numeric columns, not thousands."""
    if shape.n_numeric < 3:
        return "fewer than three numeric columns"
    return None if shape.n_numeric <= _MAX_COLUMNS else f"more than {_MAX_COLUMNS} numeric columns"


COMPONENT = Component(
    key="pca",
    slot="select",
    group="select",
    title="Principal components",
    summary="Replaces numeric columns by the principal components of most of their variance: for many correlated measurements.",
    defaults={"share": 0.95},
    space=space,
    applies=applies,
    fit_table=fit,
)
