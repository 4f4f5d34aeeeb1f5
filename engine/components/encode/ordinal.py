"""One number per category: its rank by frequency, or by its natural order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels
from ..numbers import with_numbers

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class OrdinalCodes:
    """Levels in the order of their codes."""

    levels: dict[str, Levels]

    def apply(self, table: Table) -> Table:
        """Replace categories by 0…n−1; missing and unseen are −1."""
        names = list(self.levels)
        codes = np.empty((len(table.frame), len(names)), dtype=np.float32)
        for number, (name, levels) in enumerate(self.levels.items()):
            codes[:, number] = levels.codes(table.frame[name])
        coded = with_numbers(table, names, codes)
        return coded.replace(coded.frame, dict.fromkeys(names, Role.NUMERIC))


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, OrdinalCodes]:
    """Order the levels."""
    order = _by_frequency if params["by"] == "frequency" else _by_name
    transform = OrdinalCodes({name: order(levels) for name, levels in all_levels(table).items()})
    return transform.apply(table), transform


def _by_frequency(levels: Levels) -> Levels:
    """Rarest first, so that missing and unseen (−1) lie beside the rare ones."""
    return levels.select(np.argsort(levels.counts, kind="stable"))


def _by_name(levels: Levels) -> Levels:
    """By value where every level is a number ("9" before "10"), else by text."""
    names = pd.Series(levels.names, dtype="object")
    values = pd.to_numeric(names, errors="coerce")
    keys = names if values.isna().any() else values
    return levels.select(np.asarray(keys.argsort(kind="stable"), dtype=np.int64))


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Which order."""
    return {"by": trial.suggest_categorical("by", ["frequency", "name"])}


COMPONENT = Component(
    key="ordinal",
    slot="encode",
    group="categories",
    title="Ordinal codes",
    summary="One number per category, ranked by frequency or by name: compact and good for trees, misleading for linear models.",
    order=10,
    defaults={"by": "frequency"},
    space=space,
    applies=needs_categorical,
    fit_table=fit,
)
