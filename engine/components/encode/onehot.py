"""One 0/1 column per frequent category; the rest share one column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels
from ..numbers import add_numbers, fresh_names

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class _Column:
    """How one column is spread out. `rest` and `missing` are positions among the outputs, −1 for all zeros."""

    levels: Levels
    first: int
    rest: int
    missing: int
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OneHot:
    """Indicator columns of the training levels."""

    columns: dict[str, _Column]

    def apply(self, table: Table) -> Table:
        """Replace categories by float32 indicators of role BOOLEAN; an unseen level counts as an infrequent one."""
        rows = np.arange(len(table.frame))
        width = sum(len(column.outputs) for column in self.columns.values())
        values = np.zeros((len(rows), width), dtype=np.float32)
        start = 0
        for name, column in self.columns.items():
            # Shifted by `first`: the dropped level of a two-level column gets position −1, which is all zeros.
            codes = column.levels.codes(table.frame[name], missing=-2, unseen=-3)
            positions = np.where(codes >= 0, codes - column.first, np.where(codes == -2, column.missing, column.rest))
            shown = positions >= 0
            values[rows[shown], start + positions[shown]] = 1.0
            start += len(column.outputs)
        outputs = [output for column in self.columns.values() for output in column.outputs]
        return add_numbers(table.drop(self.columns), outputs, values, Role.BOOLEAN)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, OneHot]:
    """Choose the levels that get a column of their own."""
    max_levels, min_count = int(params["max_levels"] or 0), int(params["min_count"] or 0)
    columns = {name: _column(name, every, max_levels, min_count) for name, every in all_levels(table).items()}
    fresh = iter(fresh_names(table, (output for column in columns.values() for output in column.outputs)))
    transform = OneHot(
        {name: replace(column, outputs=tuple(next(fresh) for _ in column.outputs)) for name, column in columns.items()}
    )
    return transform.apply(table), transform


def _column(name: str, every: Levels, max_levels: int, min_count: int) -> _Column:
    ranked = every.by_count()
    levels = ranked.select(np.flatnonzero(ranked.counts >= min_count)[:max_levels])
    has_rest, has_missing = len(levels) < len(every), every.n_missing > 0
    first = 1 if len(levels) == 2 and not has_rest and not has_missing else 0
    outputs = [f"{name}={level}" for level in levels.names[first:]]
    rest = missing = -1
    if has_rest:
        rest = len(outputs)
        outputs.append(f"{name}=<infrequent>")
    if has_missing:
        missing = len(outputs)
        outputs.append(f"{name}=<missing>")
    return _Column(levels, first, rest, missing, tuple(outputs))


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How many columns a category may become."""
    return {
        "max_levels": trial.suggest_int("max_levels", 5, 250, log=True),
        "min_count": trial.suggest_int("min_count", 1, 50, log=True),
    }


COMPONENT = Component(
    key="onehot",
    slot="encode",
    group="categories",
    title="One-hot",
    summary="One 0/1 column per frequent category, rare ones together: what linear models, k-NN, SVM and networks need.",
    order=10,
    defaults={"max_levels": 50, "min_count": 3},
    space=space,
    applies=needs_categorical,
    fit_table=fit,
)
