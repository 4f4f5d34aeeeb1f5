"""Keep the columns that tell most about the target one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from .. import association
from ..applicability import needs_some_columns
from ..dropped import Dropped

if TYPE_CHECKING:
    import optuna


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Dropped]:
    """Rank the columns by mutual information and keep a share of them, at least three."""
    names = table.columns(Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL)
    n_kept = max(3, int(np.ceil(float(params["share"] or 0.0) * len(names))))
    kept = association.strongest(table, names, y, context, n_kept)
    transform = Dropped(tuple(name for name in names if name not in kept))
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Share of columns kept."""
    return {"share": trial.suggest_float("share", 0.1, 0.95)}


COMPONENT = Component(
    key="mutual_information",
    slot="select",
    group="select",
    title="Mutual information",
    summary="Keeps the share of columns that tell most about the target one by one: fast, blind to interactions.",
    defaults={"share": 0.7},
    space=space,
    applies=needs_some_columns,
    fit_table=fit,
)
