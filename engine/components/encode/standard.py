"""Standardisation: mean 0 and standard deviation 1 on the training rows."""

from __future__ import annotations

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ..scaled import Scaled, numeric, standardised


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Scaled]:
    """Learn means and standard deviations."""
    transform = standardised(table, numeric(table))
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
