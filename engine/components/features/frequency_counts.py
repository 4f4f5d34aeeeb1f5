"""How often a category occurs in the training rows, as a number beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels
from ..numbers import add_numbers, fresh_names


@dataclass(frozen=True)
class FrequencyCounts:
    """Training levels with their counts."""

    levels: dict[str, Levels]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Add log(1 + count) of each value's level; 0 for unseen, missing counted like a level."""
        values = np.empty((len(table.frame), len(self.levels)))
        for number, (name, levels) in enumerate(self.levels.items()):
            counts = np.log1p([*levels.counts, levels.n_missing, 0])
            values[:, number] = counts[levels.codes(table.frame[name], missing=len(levels), unseen=len(levels) + 1)]
        return add_numbers(table, self.outputs, values)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, FrequencyCounts]:
    """Count."""
    levels = all_levels(table)
    transform = FrequencyCounts(levels, tuple(fresh_names(table, (f"{name}:frequency" for name in levels))))
    return transform.apply(table), transform


COMPONENT = Component(
    key="frequency_counts",
    slot="features",
    group="frequency",
    title="Level frequencies",
    summary="Adds how often each category occurs in the training rows: helps where popularity itself matters.",
    order=40,
    applies=needs_categorical,
    fit_table=fit,
)
