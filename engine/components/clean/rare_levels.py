"""Rare categories become one level, which unseen ones join."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels, from_codes, with_categories

if TYPE_CHECKING:
    import optuna

_RARE = "rare"


@dataclass(frozen=True)
class RareLevels:
    """Levels that are kept, per column; the last one stands for all others."""

    levels: dict[str, Levels]

    def apply(self, table: Table) -> Table:
        """Replace levels that are not kept by `rare`; missing stays missing."""
        return with_categories(
            table,
            {
                name: from_codes(levels.codes(table.frame[name], unseen=len(levels) - 1), levels.names)
                for name, levels in self.levels.items()
            },
        )


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, RareLevels]:
    """Choose the levels that occur often enough in the training rows."""
    least = max(float(params["min_count"] or 0), float(params["min_share"] or 0.0) * len(table.frame))
    transform = RareLevels({name: _kept(levels, least) for name, levels in all_levels(table).items()})
    return transform.apply(table), transform


def _kept(levels: Levels, least: float) -> Levels:
    known = np.array([name != _RARE for name in levels.names], dtype=bool)
    kept = levels.select(np.flatnonzero((levels.counts >= least) & known))
    n_rare = int(levels.counts.sum() - kept.counts.sum())
    return Levels((*kept.names, _RARE), np.append(kept.counts, n_rare), levels.n_missing)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """From how many rows on a level stands for itself."""
    return {"min_count": trial.suggest_int("min_count", 2, 100, log=True)}


COMPONENT = Component(
    key="rare_levels",
    slot="clean",
    group="levels",
    title="Group rare levels",
    summary="Joins categories with few training rows, and all unseen ones, into one level: for many levels and small data.",
    order=40,
    defaults={"min_count": 10, "min_share": 0.0},
    space=space,
    applies=needs_categorical,
    fit_table=fit,
)
