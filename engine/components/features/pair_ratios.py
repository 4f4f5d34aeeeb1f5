"""Ratios of the numeric columns that tell most about the target."""

from __future__ import annotations

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ._pairs import Pairs, applies, fit_pairs, space


def ratio(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Divide, missing where the divisor is 0; each (n_rows,)."""
    return np.asarray(np.divide(left, right, out=np.full(len(left), np.nan), where=np.abs(right) > 1e-12))


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Pairs]:
    """Choose the pairs."""
    return fit_pairs(table, y, params, context, ratio, "÷")


COMPONENT = Component(
    key="pair_ratios",
    slot="features",
    group="pairs",
    title="Ratios of numbers",
    summary="Adds ratios of the most informative numeric columns (price per area, debt per income), which trees cannot form.",
    order=50,
    defaults={"n_columns": 5},
    space=space,
    applies=applies,
    fit_table=fit,
)
