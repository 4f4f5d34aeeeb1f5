"""The adapter between the last table block and the learner: the least that makes any combination of blocks run.

It never improves a representation (that is what blocks are for): categories become ordinal codes, dates become days and gaps
become medians, only where the learner cannot take them as they are. What no block turned into features (ids, constants, free
text) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from .plugins import Needs
from .roles import Role
from .table import Table

_SECONDS_PER_DAY = 86_400.0
_LARGEST = float(np.finfo(np.float32).max)
_ROWS_FOR_NO_GAP = 500
"""Hundreds of columns for levels and bins have no gap; a sample of so many rows will do for gaps that only new rows may have."""
_FEW_ROWS = 100
"""Up to here what is done for each column costs more than what is done for each value."""


@dataclass(frozen=True)
class _Column:
    """How one column becomes a model input."""

    name: str
    role: Role
    levels: tuple[str, ...] = ()
    fill: float = 0.0
    unknown: bool = False

    @cached_property
    def dtype(self) -> pd.CategoricalDtype:
        """The levels as a type, made once: it costs more than a single row is worth."""
        return pd.CategoricalDtype(list(self.levels))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {level: code for code, level in enumerate(self.levels)}

    def codes(self, series: pd.Series) -> np.ndarray:
        """Position of each value in `levels`, −1 for missing and unseen."""
        lookup = [self._places.get(str(name), -1) for name in series.array.categories]
        return np.asarray(np.array([*lookup, -1], dtype=np.int64)[series.array.codes])


@dataclass(frozen=True)
class Adapter:
    """Fitted on a training fold's transformed table."""

    columns: tuple[_Column, ...]
    needs: Needs

    @classmethod
    def fit(cls, table: Table, needs: Needs) -> Adapter:
        """Learn levels and medians from training rows."""
        columns: list[_Column] = []
        n_rows = len(table.frame)
        some = (
            np.random.default_rng(0).integers(0, n_rows, _ROWS_FOR_NO_GAP) if n_rows > _ROWS_FOR_NO_GAP else slice(None)
        )
        gapless: dict[int, np.ndarray] = {}
        for name in table.columns(Role.NUMERIC, Role.BOOLEAN, Role.DATETIME, Role.CATEGORICAL):
            role = table.roles[name]
            if role is Role.CATEGORICAL:
                columns.append(_Column(name, role, levels=_levels_present(table.frame[name])))
                continue
            values = _numbers(table.frame[name], role)
            gaps = np.isnan(values)
            if needs.no_missing and not gaps.any():
                gapless[len(columns)] = values[some]
            fill = _median(values[~gaps]) if needs.no_missing and gaps.any() else 0.0
            columns.append(_Column(name, role, fill=fill, unknown=bool(gaps.all())))
        if gapless and n_rows:
            # All at once: one after the other costs more than some fits do.
            for number, fill in zip(gapless, np.median(np.stack(list(gapless.values())), axis=1), strict=True):
                columns[number] = replace(columns[number], fill=float(fill))
        return cls(tuple(columns), needs)

    def apply(self, table: Table) -> pd.DataFrame:
        """Return the model input: columns `f0`, `f1`, …, float32, and `category` where the learner takes it."""
        names = [f"f{number}" for number in range(len(self.columns))] or ["f0"]
        if self.needs.numeric_only or all(column.role is not Role.CATEGORICAL for column in self.columns):
            # Written in place: a wide table in two copies is what fills the memory when folds are fitted side by side.
            values = np.zeros((len(names), len(table.frame)), dtype=np.float32)
            others: Iterable[int] = range(len(self.columns))
            if len(table.frame) <= _FEW_ROWS:
                measured, others = self._measured
                values[measured] = self._together(table.frame, measured)
            for number in others:
                values[number] = self._input(self.columns[number], table.frame[self.columns[number].name])
            return pd.DataFrame(values.T, index=table.frame.index, columns=names, copy=False)
        # In one pass: looking up every column by name costs more than a single row is worth.
        series_of = dict(table.frame.items())
        inputs = [self._input(column, series_of[column.name]) for column in self.columns]
        return pd.DataFrame(dict(zip(names, inputs, strict=True)), index=table.frame.index)

    @cached_property
    def _measured(self) -> tuple[list[int], list[int]]:
        """Numbers of the columns that hold measured values, and those of the others."""
        measured = [number for number, column in enumerate(self.columns) if column.role in (Role.NUMERIC, Role.BOOLEAN)]
        return measured, sorted(set(range(len(self.columns))) - set(measured))

    def _together(self, frame: pd.DataFrame, measured: list[int]) -> np.ndarray:
        """Inputs (n_columns, n_rows) of these columns at once: one after the other costs more than a few rows are worth."""
        columns = [self.columns[number] for number in measured]
        places = frame.columns.get_indexer(pd.Index([column.name for column in columns]))
        if (places < 0).any():
            raise KeyError(columns[int(np.argmin(places))].name)
        found = frame.take(places, axis=1).to_numpy(dtype=np.float64, na_value=np.nan).T
        values: np.ndarray = np.clip(found, -_LARGEST, _LARGEST).astype(np.float32)
        if self.needs.no_missing:
            fills = np.array([column.fill for column in columns], dtype=np.float32)
            values = np.where(np.isnan(values), fills[:, None], values)
        values[[column.unknown for column in columns]] = 0.0
        return values

    def _input(self, column: _Column, series: pd.Series) -> np.ndarray | pd.Categorical:
        """A column as the learner takes it."""
        if column.role is Role.CATEGORICAL:
            codes = column.codes(series)
            if not self.needs.numeric_only:
                return pd.Categorical.from_codes(codes, dtype=column.dtype)
            values = codes.astype(np.float32)
            values[codes < 0] = -1.0 if self.needs.no_missing else np.nan
            return values
        values = _numbers(series, column.role)
        if column.unknown:
            # Some learners cannot bin a column without a single value, and none could have learnt from it.
            return np.zeros_like(values)
        return np.where(np.isnan(values), np.float32(column.fill), values) if self.needs.no_missing else values


def _median(known: np.ndarray) -> float:
    """The median; 0 of nothing."""
    return float(np.median(known)) if len(known) else 0.0


def _numbers(series: pd.Series, role: Role) -> np.ndarray:
    """Return float32 values (n_rows,), infinities and overflow clipped to the largest float32."""
    if role is Role.DATETIME:
        seconds = series.astype("datetime64[s]").to_numpy()
        values = np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64) / _SECONDS_PER_DAY)
    else:
        if series.dtype == np.float32:
            return np.asarray(np.clip(series.to_numpy(), -_LARGEST, _LARGEST))
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


def _levels_present(series: pd.Series) -> tuple[str, ...]:
    """Levels that occur in these rows, in category order; the dtype may list levels of other rows."""
    used = np.unique(series.array.codes)
    categories = series.array.categories
    return tuple(str(categories[code]) for code in used if code >= 0)
