"""Products of the numeric columns that tell most about the target."""

from __future__ import annotations

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ._pairs import Pairs, applies, fit_pairs, space


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiply; each (n_rows,)."""
    return np.asarray(left * right)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Pairs]:
    """Choose the pairs."""
    return fit_pairs(table, y, params, context, product, "×")


COMPONENT = Component(
    key="pair_products",
    slot="features",
    group="pairs",
    title="Products of numbers",
    summary="Adds products of the most informative numeric columns: interactions for linear models, areas and totals for all.",
    order=50,
    defaults={"n_columns": 5},
    space=space,
    applies=applies,
    fit_table=fit,
)
