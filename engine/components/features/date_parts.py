"""Dates become year, month, day, weekday, hour and elapsed days; the date columns themselves go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...table import Table
from ..applicability import needs_datetime
from ..numbers import add_numbers, fresh_names

_PARTS = ("year", "month", "day", "day_of_year", "day_of_week", "hour", "minute")
_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class DateParts:
    """Which parts of which column become features.

    Attributes
    ----------
    parts : mapping of date column to the parts that vary in the training rows
    origins : mapping of date column to seconds since 1970 of its first training value
    outputs : tuple of str
    """

    parts: dict[str, tuple[str, ...]]
    origins: dict[str, float]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Replace the dates by their parts (float32, missing where the date is) and the days since the first training date."""
        values = []
        for name, parts in self.parts.items():
            dates = table.frame[name].astype("datetime64[s]")
            values.append((_seconds(dates) - self.origins[name]) / _SECONDS_PER_DAY)
            values += [getattr(dates.dt, part).to_numpy(dtype=np.float64, na_value=np.nan) for part in parts]
        stacked = np.stack(values, axis=1) if values else np.empty((len(table.frame), 0))
        return add_numbers(table.drop(self.parts), self.outputs, stacked)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, DateParts]:
    """Find the parts that vary."""
    parts, origins = {}, {}
    for name in table.columns(Role.DATETIME):
        dates = table.frame[name].astype("datetime64[s]").dropna()
        parts[name] = tuple(part for part in _PARTS if len(dates) and _varies(getattr(dates.dt, part).to_numpy()))
        origins[name] = float(_seconds(dates).min()) if len(dates) else 0.0
    wanted = [f"{name}:{part}" for name, chosen in parts.items() for part in ("days", *chosen)]
    transform = DateParts(parts, origins, tuple(fresh_names(table, wanted)))
    return transform.apply(table), transform


def _seconds(dates: pd.Series) -> np.ndarray:
    """Seconds since 1970 (n_rows,), NaN for missing."""
    values = dates.to_numpy().astype("datetime64[s]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64))


def _varies(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())


COMPONENT = Component(
    key="date_parts",
    slot="features",
    group="dates",
    title="Date parts",
    summary="Turns dates into year, month, day, weekday, hour (where they vary) and elapsed days; the basis for any date column.",
    order=20,
    applies=needs_datetime,
    fit_table=fit,
)
