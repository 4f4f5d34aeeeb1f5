"""Missing numbers become the mean of the training rows."""

from __future__ import annotations

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...table import Table
from ..applicability import needs_missing
from ..numbers import fill_unknown_columns, matrix
from ._filling import DEFAULTS, Filling, space


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Filling]:
    """Learn the means."""
    values = fill_unknown_columns(matrix(table, table.columns(Role.NUMERIC)))
    transform = Filling.fit(table, np.atleast_1d(np.nanmean(values, axis=0)), params)
    return transform.apply(table), transform


COMPONENT = Component(
    key="impute_mean",
    slot="clean",
    group="impute",
    title="Mean imputation",
    summary="Fills gaps in numbers with the training mean: for linear models on symmetric numbers; median is safer on skewed ones.",
    order=30,
    defaults=DEFAULTS,
    space=space,
    applies=needs_missing,
    fit_table=fit,
)
