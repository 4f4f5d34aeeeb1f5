"""Pairs of the numeric columns that tell most about the target; what products and ratios have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..association import strongest
from ..numbers import add_numbers, fresh_names, matrix

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Pairs:
    """Pairs of columns and how each becomes one new column."""

    pairs: tuple[tuple[str, str], ...]
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Add one column per pair; missing where one of the two is."""
        names = sorted({name for pair in self.pairs for name in pair})
        values = dict(zip(names, matrix(table, names).T, strict=True))
        stacked = np.empty((len(table.frame), len(self.pairs)))
        for number, (left, right) in enumerate(self.pairs):
            stacked[:, number] = self.combine(values[left], values[right])
        return add_numbers(table, self.outputs, stacked)


def fit_pairs(
    table: Table,
    y: np.ndarray,
    params: ParamDict,
    context: FitContext,
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
    sign: str,
) -> tuple[Table, Pairs]:
    """Choose the columns by their mutual information with the target and pair them all, the better one first."""
    best = strongest(table, table.columns(Role.NUMERIC), y, context, int(params["n_columns"] or 0))
    pairs = tuple(combinations(best, 2))
    names = fresh_names(table, (f"{left} {sign} {right}" for left, right in pairs))
    transform = Pairs(pairs, combine, tuple(names))
    return transform.apply(table), transform


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How many columns are paired."""
    return {"n_columns": trial.suggest_int("n_columns", 2, max(2, min(12, shape.n_numeric)))}


def applies(shape: DataShape) -> str | None:
    """Needs two numeric columns."""
    return None if shape.n_numeric > 1 else "fewer than two numeric columns"
