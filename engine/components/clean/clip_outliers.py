"""Numbers far outside the training distribution are pulled to its edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_numeric
from ..numbers import fill_unknown_columns, matrix

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Clipping:
    """Bounds per column; columns whose bounds coincide are left alone."""

    bounds: dict[str, tuple[float, float]]

    def apply(self, table: Table) -> Table:
        """Clip; missing stays missing, infinities go to the bounds."""
        clipped = {name: table.frame[name].clip(low, high) for name, (low, high) in self.bounds.items()}
        return table.replace(table.frame.assign(**clipped)) if clipped else table


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Clipping]:
    """Learn the bounds: quantiles, or quartiles extended by a multiple of their distance."""
    names = table.columns(Role.NUMERIC)
    values = fill_unknown_columns(matrix(table, names))
    tail = float(params["tail"] or 0.0) if params["method"] == "quantile" else 0.25
    low, high = np.nanquantile(values, [tail, 1.0 - tail], axis=0).reshape(2, len(names))
    spread = high - low
    if params["method"] == "iqr":
        low, high = low - float(params["factor"] or 0.0) * spread, high + float(params["factor"] or 0.0) * spread
    bounds = {name: (float(low[i]), float(high[i])) for i, name in enumerate(names) if spread[i] > 0.0}
    transform = Clipping(bounds)
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Which rule and how tight."""
    method = trial.suggest_categorical("method", ["quantile", "iqr"])
    if method == "quantile":
        return {"method": method, "tail": trial.suggest_float("tail", 0.0005, 0.05, log=True)}
    return {"method": method, "factor": trial.suggest_float("factor", 1.5, 10.0)}


COMPONENT = Component(
    key="clip_outliers",
    slot="clean",
    group="outliers",
    title="Clip outliers",
    summary="Pulls extreme numbers to a quantile or to k interquartile ranges: for linear models and networks on dirty numbers.",
    order=20,
    defaults={"method": "quantile", "tail": 0.005, "factor": 3.0},
    space=space,
    applies=needs_numeric,
    fit_table=fit,
)
