"""Categories stay categories, with the levels of the training rows only; for learners that take them as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels, with_categories


@dataclass(frozen=True)
class NativeCategories:
    """Categorical columns restricted to their training levels."""

    levels: dict[str, Levels]

    def apply(self, table: Table) -> Table:
        """Unseen levels become missing."""
        return with_categories(
            table, {name: levels.categorical(table.frame[name]) for name, levels in self.levels.items()}
        )


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, NativeCategories]:
    """Collect the levels."""
    transform = NativeCategories(all_levels(table))
    return transform.apply(table), transform


COMPONENT = Component(
    key="native",
    slot="encode",
    group="categories",
    title="Native categories",
    summary="Hands categories to the learner as they are (boosted trees split on sets of levels).",
    order=10,
    applies=needs_categorical,
    fit_table=fit,
)
