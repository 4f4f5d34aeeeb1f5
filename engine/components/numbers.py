"""Numeric columns as matrices and back into a table, and names for new columns that no column has yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ..roles import Role
from ..table import Table

_LARGEST = float(np.finfo(np.float32).max)
_FEW_NAMES = 32
"""Up to here columns are put in their places one by one; to take a frame apart and join it again is dear where there is one row."""


def matrix(table: Table, names: Sequence[str]) -> np.ndarray:
    """Values (n_rows, n_names) as float64 within the range of float32; infinite values count as missing (NaN)."""
    values = np.empty((len(table.frame), len(names)), dtype=np.float64)
    for number, name in enumerate(names):
        values[:, number] = table.frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    values[np.isinf(values)] = np.nan
    # Within these bounds sums of squares and products cannot overflow.
    return np.asarray(np.clip(values, -_LARGEST, _LARGEST, out=values))


def columns_of(values: np.ndarray, names: Sequence[str], index: pd.Index) -> pd.DataFrame:
    """Frame of float32 columns from values (n_rows, n_names), overflow clipped."""
    return pd.DataFrame(
        np.clip(values, -_LARGEST, _LARGEST).astype(np.float32, copy=False), index=index, columns=list(names)
    )


def with_numbers(table: Table, names: Sequence[str], values: np.ndarray) -> Table:
    """Return the table with the values of these columns replaced by float32 values (n_rows, n_names); their order stays."""
    if not names:
        return table
    if len(names) <= _FEW_NAMES:
        frame = table.frame.copy(deep=False)
        for number, name in enumerate(names):
            frame[name] = np.clip(values[:, number], -_LARGEST, _LARGEST).astype(np.float32, copy=False)
        return table.replace(frame)
    frame = pd.concat([table.frame.drop(columns=list(names)), columns_of(values, names, table.frame.index)], axis=1)
    return table.replace(frame[list(table.frame.columns)])


def add_numbers(table: Table, names: Sequence[str], values: np.ndarray, role: Role = Role.NUMERIC) -> Table:
    """Return the table with new float32 columns (n_rows, n_names) at the end."""
    return table.add(columns_of(values, names, table.frame.index), role) if names else table


def fresh_names(table: Table, wanted: Iterable[str]) -> list[str]:
    """Turn wanted column names into ones the table does not have and that differ from each other."""
    taken = {str(name) for name in table.frame.columns}
    fresh = []
    for name in wanted:
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate)
        fresh.append(candidate)
    return fresh


def known_or(values: np.ndarray, fallback: float) -> np.ndarray:
    """Replace what is not a finite number by the fallback."""
    return np.where(np.isfinite(values), values, fallback)


def fill_unknown_columns(values: np.ndarray) -> np.ndarray:
    """Values (n_rows, n_columns) with zeros in columns that hold no number at all, so that their statistics exist."""
    if len(values) == 0:
        return np.zeros((1, values.shape[1]))
    empty = np.isnan(values).all(axis=0)
    return np.where(empty[None, :], 0.0, values)
