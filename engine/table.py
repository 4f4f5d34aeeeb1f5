"""The table that travels through a pipeline: columns with their roles, one row per example, no target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .roles import Role


@dataclass(frozen=True)
class Table:
    """Feature columns of some rows.

    Attributes
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
        NUMERIC: float64 or float32 with NaN for missing. BOOLEAN: float 0.0/1.0/NaN. CATEGORICAL and ID: pandas
        `category` dtype with string levels, missing as NaN. DATETIME: `datetime64` (naive). TEXT: `str` dtype, missing NaN.
        Never changed in place: a transform returns a new frame and may share columns with the old one.
    roles : mapping of column name to Role
        Exactly the frame's columns.
    """

    frame: pd.DataFrame
    roles: Mapping[str, Role]

    def columns(self, *roles: Role) -> list[str]:
        """Names of the columns with one of these roles, in table order."""
        return [name for name in self.frame.columns if self.roles[name] in roles]

    def take(self, positions: np.ndarray) -> Table:
        """Return the rows at these integer positions."""
        return Table(self.frame.iloc[positions], self.roles)

    def replace(self, frame: pd.DataFrame, roles: Mapping[str, Role] | None = None) -> Table:
        """Return a table with this frame; roles of kept columns stay, `roles` names those of new columns."""
        known = {**self.roles, **(roles or {})}
        return Table(frame, {str(name): known[str(name)] for name in frame.columns})

    def drop(self, names: Iterable[str]) -> Table:
        """Return the table without these columns."""
        gone = set(names)
        left = [number for number, name in enumerate(self.frame.columns) if name not in gone]
        return self.replace(self.frame.take(left, axis=1))

    def add(self, columns: pd.DataFrame, role: Role = Role.NUMERIC) -> Table:
        """Return the table with new columns (same index) appended, all of one role."""
        frame = pd.concat([self.frame, columns], axis=1)
        return self.replace(frame, {str(name): role for name in columns.columns})
