"""Missing numbers become one value per column that no training row has, or zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_missing
from ..numbers import fill_unknown_columns, matrix
from . import _filling
from ._filling import DEFAULTS, Filling

if TYPE_CHECKING:
    import optuna


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Filling]:
    """Place the fill value: a tenth of the range below the smallest value, or zero."""
    values = fill_unknown_columns(matrix(table, table.columns(Role.NUMERIC)))
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    place = low - np.maximum(0.1 * (high - low), 1.0) if params["place"] == "below" else np.zeros(values.shape[1])
    transform = Filling.fit(table, place, params)
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Where the value lies, beside the options of all imputations."""
    return {"place": trial.suggest_categorical("place", ["below", "zero"]), **_filling.space(trial, shape)}


COMPONENT = Component(
    key="impute_constant",
    slot="clean",
    group="impute",
    title="Constant imputation",
    summary="Fills gaps with a value below the column's range (or zero), so that trees can tell that the value was missing.",
    order=30,
    defaults={"place": "below", **DEFAULTS},
    space=space,
    applies=needs_missing,
    fit_table=fit,
)
