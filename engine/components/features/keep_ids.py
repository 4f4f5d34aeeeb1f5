"""Ids that hold a number become numeric features; for tables in which the order of the ids carries signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...table import Table
from ..applicability import needs_id
from ..levels import Levels
from ..numbers import add_numbers, fresh_names

_NUMBER_AT_END = r"(\d{1,15}(?:\.\d+)?)\s*$"
_ENOUGH = 0.95


@dataclass(frozen=True)
class IdNumbers:
    """Id columns that hold numbers."""

    names: tuple[str, ...]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Replace the ids by the number at their end; missing where there is none."""
        values = np.empty((len(table.frame), len(self.names)))
        for number, name in enumerate(self.names):
            series = table.frame[name]
            of_level = np.append(_numbers(series.cat.categories), np.nan)
            values[:, number] = of_level[series.cat.codes.to_numpy()]
        return add_numbers(table.drop(self.names), self.outputs, values)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, IdNumbers]:
    """Find the id columns of which nearly every training value ends in a number."""
    names = tuple(name for name in table.columns(Role.ID) if _is_numeric(Levels.of(table.frame[name])))
    transform = IdNumbers(names, tuple(fresh_names(table, (f"{name}:number" for name in names))))
    return transform.apply(table), transform


def _is_numeric(levels: Levels) -> bool:
    return len(levels) > 0 and bool(np.isfinite(_numbers(levels.names)).mean() >= _ENOUGH)


def _numbers(texts: pd.Index | tuple[str, ...]) -> np.ndarray:
    """The number at the end of each text (n_texts,), NaN without one."""
    ends = pd.Series(list(texts), dtype="str").str.extract(_NUMBER_AT_END, expand=False)
    return pd.to_numeric(ends, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


COMPONENT = Component(
    key="keep_ids",
    slot="features",
    group="ids",
    title="Use ids as numbers",
    summary="Uses the number in id columns as a feature: only where ids were given in an order that will hold for new rows too.",
    order=15,
    applies=needs_id,
    fit_table=fit,
)
