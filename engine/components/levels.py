"""Levels of a categorical column as the training rows know them. Shared by the components that work on category codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..roles import Role
from ..table import Table


@dataclass(frozen=True)
class Levels:
    """Levels that occur in the training rows, with how often.

    Attributes
    ----------
    names : tuple of str
        In the order of their codes.
    counts : ndarray (n_levels,) int64
        Training rows per level.
    n_missing : int
        Training rows without a value.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    n_missing: int

    @classmethod
    def of(cls, series: pd.Series) -> Levels:
        """Collect the levels of a `category` series that occur in its rows; its dtype may list levels of other rows."""
        codes = series.array.codes.astype(np.int64)
        counts = np.bincount(codes + 1, minlength=len(series.array.categories) + 1)
        used = np.flatnonzero(counts[1:])
        categories = series.array.categories.to_list()
        return cls(tuple(str(categories[code]) for code in used), counts[1:][used], int(counts[0]))

    def __len__(self) -> int:
        return len(self.names)

    def select(self, codes: np.ndarray) -> Levels:
        """Return the levels with these codes, in this order."""
        return Levels(tuple(self.names[code] for code in codes), self.counts[codes], self.n_missing)

    def by_count(self) -> Levels:
        """Return the levels with the most frequent first; ties keep their order."""
        return self.select(np.argsort(-self.counts, kind="stable"))

    def codes(self, series: pd.Series, missing: int = -1, unseen: int = -1) -> np.ndarray:
        """Codes (n_rows,) int64 of a `category` series: 0…n−1 for levels, and the given codes for missing and unseen values."""
        places = self._places
        lookup = [places.get(str(name), unseen) for name in series.array.categories]
        return np.asarray(np.array([*lookup, missing], dtype=np.int64)[series.array.codes])

    @cached_property
    def _places(self) -> dict[str, int]:
        """Code of each level; a plain dict, because an index costs more than a single row is worth."""
        return {name: code for code, name in enumerate(self.names)}

    @cached_property
    def _dtype(self) -> pd.CategoricalDtype:
        return pd.CategoricalDtype(pd.Index(self.names, dtype="str"))

    def categorical(self, series: pd.Series) -> pd.Categorical:
        """The same values with exactly these levels; unseen values become missing."""
        return pd.Categorical.from_codes(self.codes(series), dtype=self._dtype)


def from_codes(codes: np.ndarray, names: tuple[str, ...]) -> pd.Categorical:
    """Build categories from codes (n_rows,), −1 for missing."""
    return pd.Categorical.from_codes(
        codes.tolist() if len(codes) == 0 else codes, categories=pd.Index(names, dtype="str")
    )


def all_levels(table: Table) -> dict[str, Levels]:
    """Levels of every categorical column of the training rows."""
    return {name: Levels.of(table.frame[name]) for name in table.columns(Role.CATEGORICAL)}


def with_categories(table: Table, columns: dict[str, pd.Categorical]) -> Table:
    """Return the table with the values of these categorical columns replaced, in place and order."""
    if not columns:
        return table
    return table.replace(table.frame.assign(**columns))
