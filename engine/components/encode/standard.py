"""Standardisation: mean 0 and standard deviation 1 on the training rows."""

from __future__ import annotations

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ..numbers import fill_unknown_columns, matrix
from ..scaled import Scaled, numeric, positive


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Scaled]:
    """Learn means and standard deviations."""
    names = numeric(table)
    values = fill_unknown_columns(matrix(table, names))
    center = np.nanmean(values, axis=0)
    spread = np.nanstd(values, axis=0)
    # Rounding leaves a tiny spread in a constant column of large values.
    scale = positive(np.where(spread > 1e-12 * np.abs(center), spread, 0.0))
    transform = Scaled(names, center, scale)
    return transform.apply(table), transform


COMPONENT = Component(
    key="standard",
    slot="encode",
    group="scaling",
    title="Standardise",
    summary="Mean 0 and deviation 1 for numeric columns: needed by linear models, k-NN, SVM and networks; trees do not care.",
    order=60,
    fit_table=fit,
)
