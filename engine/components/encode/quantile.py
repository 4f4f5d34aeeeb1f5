"""Quantile transform: every numeric column gets the shape of a normal distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import QuantileTransformer

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...table import Table
from ..numbers import fill_unknown_columns, matrix, with_numbers
from ..scaled import numeric

if TYPE_CHECKING:
    import optuna

_FIT_ROWS = 50_000


@dataclass(frozen=True)
class QuantileScaled:
    """Columns mapped through their training quantiles."""

    names: tuple[str, ...]
    transformer: QuantileTransformer

    def apply(self, table: Table) -> Table:
        """Replace the columns; values outside the training range get its ends, missing stays missing."""
        if not self.names or len(table.frame) == 0:
            return with_numbers(table, self.names, matrix(table, self.names))
        return with_numbers(table, self.names, self.transformer.transform(matrix(table, self.names)))


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, QuantileScaled]:
    """Learn the quantiles, from at most 50,000 rows."""
    names = numeric(table)
    values = fill_unknown_columns(matrix(table, names))
    transformer = QuantileTransformer(
        n_quantiles=min(int(params["n_quantiles"] or 0), len(values)),
        output_distribution="normal",
        subsample=_FIT_ROWS,
        random_state=context.seed,
    )
    if names:
        transformer.fit(values)
    transform = QuantileScaled(names, transformer)
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How fine the quantiles are."""
    return {"n_quantiles": trial.suggest_int("n_quantiles", 20, 1000, log=True)}


COMPONENT = Component(
    key="quantile",
    slot="encode",
    group="scaling",
    title="Quantiles to normal",
    summary="Makes every numeric column normally distributed by rank: for skewed numbers under linear models, k-NN and networks.",
    order=60,
    defaults={"n_quantiles": 500},
    space=space,
    fit_table=fit,
)
