"""Scaling to the range 0 to 1 of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...table import Table
from ..numbers import fill_unknown_columns, matrix
from ..scaled import Scaled, numeric, positive

if TYPE_CHECKING:
    import optuna


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Scaled]:
    """Learn the ranges."""
    names = numeric(table)
    values = fill_unknown_columns(matrix(table, names))
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    bounds = (0.0, 1.0) if params["clip"] else (-np.inf, np.inf)
    transform = Scaled(names, low, positive(high - low), *bounds)
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Whether later values may leave the range."""
    return {"clip": trial.suggest_categorical("clip", [True, False])}


COMPONENT = Component(
    key="minmax",
    slot="encode",
    group="scaling",
    title="Range 0 to 1",
    summary="Numeric columns to 0…1, later values clipped: for bounded measurements; one outlier squeezes all the rest.",
    order=60,
    defaults={"clip": True},
    space=space,
    fit_table=fit,
)
