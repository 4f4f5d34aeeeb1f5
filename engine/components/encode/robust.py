"""Scaling by median and quartiles, with smooth clipping of outliers."""

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

_NORMAL_QUARTILES = 1.349
"""Interquartile range of a standard normal distribution."""


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Scaled]:
    """Learn medians and quartiles; the full range stands in where the quartiles coincide."""
    names = numeric(table)
    values = fill_unknown_columns(matrix(table, names))
    quantiles = np.nanquantile(values, [0.0, 0.25, 0.5, 0.75, 1.0], axis=0).reshape(5, len(names))
    low, first, median, third, high = quantiles
    spread = np.where(third > first, (third - first) / _NORMAL_QUARTILES, (high - low) / 2.0)
    transform = Scaled(names, median, positive(spread), smooth=float(params["bound"] or 0.0))
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Where outliers level off, in deviations; 0 leaves them."""
    return {"bound": trial.suggest_categorical("bound", [0.0, 3.0, 6.0])}


# Median and quartile scaling with smooth clipping at 3: Holzmüller et al., "Better by default", arXiv 2407.04491, section 3.
COMPONENT = Component(
    key="robust",
    slot="encode",
    group="scaling",
    title="Robust scaling",
    summary="Median and quartiles instead of mean and deviation, outliers levelled off smoothly: for heavy tails and networks.",
    order=60,
    defaults={"bound": 3.0},
    space=space,
    fit_table=fit,
)
