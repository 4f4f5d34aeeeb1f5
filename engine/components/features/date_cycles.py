"""Dates become positions on the circles of the year, the week and the day; the date columns stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...table import Table
from ..applicability import needs_datetime
from ..numbers import add_numbers, fresh_names

_CYCLES = ("year", "week", "day")


@dataclass(frozen=True)
class DateCycles:
    """Cycles that vary in the training rows, per date column."""

    cycles: dict[str, tuple[str, ...]]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Add sine and cosine of each cycle; missing where the date is."""
        values = []
        for name, cycles in self.cycles.items():
            for cycle in cycles:
                angle = 2.0 * np.pi * _phase(table.frame[name], cycle)
                values += [np.sin(angle), np.cos(angle)]
        stacked = np.stack(values, axis=1) if values else np.empty((len(table.frame), 0))
        return add_numbers(table, self.outputs, stacked)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, DateCycles]:
    """Find the cycles that vary."""
    cycles = {
        name: tuple(cycle for cycle in _CYCLES if _varies(_phase(table.frame[name].dropna(), cycle)))
        for name in table.columns(Role.DATETIME)
    }
    wanted = [
        f"{name}:{wave} of {cycle}" for name, chosen in cycles.items() for cycle in chosen for wave in ("sin", "cos")
    ]
    transform = DateCycles(cycles, tuple(fresh_names(table, wanted)))
    return transform.apply(table), transform


def _phase(dates: pd.Series, cycle: str) -> np.ndarray:
    """Position (n_rows,) in the cycle, 0 to 1, NaN for missing."""
    parts = dates.dt
    if cycle == "year":
        phase = (parts.day_of_year - 1) / 366.0
    elif cycle == "week":
        phase = parts.day_of_week / 7.0
    else:
        phase = (parts.hour + parts.minute / 60.0) / 24.0
    return np.asarray(phase.to_numpy(dtype=np.float64, na_value=np.nan))


def _varies(values: np.ndarray) -> bool:
    return len(values) > 0 and bool((values != values[0]).any())


COMPONENT = Component(
    key="date_cycles",
    slot="features",
    group="cycles",
    title="Cyclic date features",
    summary="Sine and cosine of time of year, weekday and time of day, December next to January: for linear models and k-NN.",
    order=10,
    applies=needs_datetime,
    fit_table=fit,
)
