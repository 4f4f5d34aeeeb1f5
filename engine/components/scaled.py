"""Shift and scale of numeric columns: what standard, robust and min–max scaling have in common once fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..roles import Role
from ..table import Table
from .numbers import fill_unknown_columns, known_or, matrix, with_numbers


@dataclass(frozen=True)
class Scaled:
    """`(value − center) / scale` per column, then optionally bounded.

    Attributes
    ----------
    names : tuple of str
    center, scale : ndarray (n_names,)
        `scale` is positive.
    low, high : float
        Hard bounds of the result.
    smooth : float
        0.0, or the bound c of the smooth clipping z / sqrt(1 + (z / c)²).
    """

    names: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    low: float = -np.inf
    high: float = np.inf
    smooth: float = 0.0

    def apply(self, table: Table) -> Table:
        """Replace the columns by their scaled values; missing stays missing."""
        values = (matrix(table, self.names) - self.center) / self.scale
        if self.smooth:
            values = values / np.sqrt(1.0 + (values / self.smooth) ** 2)
        return with_numbers(table, self.names, np.clip(values, self.low, self.high))


def numeric(table: Table) -> tuple[str, ...]:
    """Columns that scaling applies to; 0/1 columns keep their meaning."""
    return tuple(table.columns(Role.NUMERIC))


def standardised(table: Table, names: tuple[str, ...]) -> Scaled:
    """Learn means and standard deviations of these columns."""
    values = fill_unknown_columns(matrix(table, names))
    center = np.nanmean(values, axis=0)
    spread = np.nanstd(values, axis=0)
    # Rounding leaves a tiny spread in a constant column of large values.
    return Scaled(names, center, positive(np.where(spread > 1e-12 * np.abs(center), spread, 0.0)))


def positive(scale: np.ndarray) -> np.ndarray:
    """Scales (n_names,) with 1 where a column does not vary in a way that float32 could tell."""
    return np.where(known_or(scale, 0.0) > 1e-30, known_or(scale, 1.0), 1.0)
