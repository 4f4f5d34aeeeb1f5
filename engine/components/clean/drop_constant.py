"""Columns that (almost) never vary in the training rows are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import FEATURE_ROLES, Role
from ...shape import DataShape
from ...table import Table
from ..dropped import Dropped

if TYPE_CHECKING:
    import optuna
    import pandas as pd


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Dropped]:
    """Find the columns whose most frequent value, missing included, reaches the share."""
    share, n_rows = float(params["share"] or 1.0), len(table.frame)
    names = table.columns(Role.CONSTANT)
    if n_rows > 1:
        names += [
            name
            for name in table.columns(*FEATURE_ROLES)
            if _largest_count(table.frame[name], table.roles[name]) >= share * n_rows
        ]
    transform = Dropped(tuple(names))
    return transform.apply(table), transform


def _largest_count(series: pd.Series, role: Role) -> int:
    """Rows of the most frequent value; for numbers exact only where it fills more than half of the rows, which is all we ask."""
    if role is Role.CATEGORICAL:
        return int(np.bincount(series.cat.codes.to_numpy().astype(np.int64) + 1).max())
    if role in (Role.NUMERIC, Role.BOOLEAN):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        middle = np.partition(values, len(values) // 2)[len(values) // 2]
        return int(max((values == middle).sum(), np.isnan(values).sum()))
    return int(series.value_counts(dropna=False, sort=False).max())


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Share of the most frequent value from which a column goes."""
    return {"share": trial.suggest_categorical("share", [1.0, 0.999, 0.99, 0.97])}


COMPONENT = Component(
    key="drop_constant",
    slot="clean",
    group="constant",
    title="Drop constant columns",
    summary="Leaves out columns with a single value in the training rows, or nearly so with share < 1.",
    order=10,
    defaults={"share": 1.0},
    space=space,
    fit_table=fit,
)
