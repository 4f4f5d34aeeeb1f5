"""Crosses of the categorical columns that tell most about the target, as new categorical columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..association import strongest
from ..levels import Levels, from_codes
from ..numbers import fresh_names

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class _Cross:
    """Two columns and their combinations with enough training rows, as sorted codes and their names."""

    left: str
    right: str
    output: str
    known: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class CategoryPairs:
    """Training levels of the crossed columns, and the crosses."""

    levels: dict[str, Levels]
    crosses: tuple[_Cross, ...]

    def apply(self, table: Table) -> Table:
        """Add the crosses; a combination that is not known is missing."""
        if not self.crosses:
            return table
        columns = {}
        for cross in self.crosses:
            codes = _combined(self.levels, table, cross.left, cross.right)
            if len(cross.known) == 0:
                columns[cross.output] = from_codes(np.full(len(codes), -1), ())
                continue
            place = np.minimum(np.searchsorted(cross.known, codes), len(cross.known) - 1)
            columns[cross.output] = from_codes(np.where(cross.known[place] == codes, place, -1), cross.names)
        return table.add(pd.DataFrame(columns, index=table.frame.index), Role.CATEGORICAL)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, CategoryPairs]:
    """Choose the columns by their mutual information with the target; keep combinations with enough rows."""
    names = strongest(table, table.columns(Role.CATEGORICAL), y, context, int(params["n_columns"] or 0))
    levels = {name: Levels.of(table.frame[name]) for name in names}
    pairs = list(combinations(names, 2))
    crosses = []
    for (left, right), output in zip(pairs, fresh_names(table, (f"{a} & {b}" for a, b in pairs)), strict=True):
        known, counts = np.unique(_combined(levels, table, left, right), return_counts=True)
        known = known[counts >= int(params["min_count"] or 0)]
        crosses.append(_Cross(left, right, output, known, tuple(_names(known, levels[left], levels[right]))))
    transform = CategoryPairs(levels, tuple(crosses))
    return transform.apply(table), transform


def _combined(levels: dict[str, Levels], table: Table, left: str, right: str) -> np.ndarray:
    """One code per row for a pair of columns; missing counts as a level, −1 where one of the two is unseen."""
    first, second = (
        levels[name].codes(table.frame[name], missing=len(levels[name]), unseen=-1) for name in (left, right)
    )
    return np.where((first < 0) | (second < 0), -1, first * (len(levels[right]) + 1) + second)


def _names(known: np.ndarray, left: Levels, right: Levels) -> list[str]:
    first, second = (*left.names, "<missing>"), (*right.names, "<missing>")
    # The code in front keeps two combinations apart whose texts happen to be equal.
    return [f"{code}: {first[code // len(second)]} & {second[code % len(second)]}" for code in known.tolist()]


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How many columns are crossed, and from how many rows on a combination counts."""
    return {
        "n_columns": trial.suggest_int("n_columns", 2, max(2, min(6, shape.n_categorical))),
        "min_count": trial.suggest_int("min_count", 2, 50, log=True),
    }


def applies(shape: DataShape) -> str | None:
    """Needs two categorical columns."""
    return None if shape.n_categorical > 1 else "fewer than two categorical columns"


COMPONENT = Component(
    key="category_pairs",
    slot="features",
    group="crosses",
    title="Category crosses",
    summary="Adds combinations of the most informative categories as new categories: encode them by target_mean or native.",
    order=45,
    defaults={"n_columns": 3, "min_count": 5},
    space=space,
    applies=applies,
    fit_table=fit,
)
