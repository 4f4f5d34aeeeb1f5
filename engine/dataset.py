"""Datasets: a table on disk read into typed columns with roles, a cleaned target, frozen row ids and a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .roles import Role
from .table import Table


@dataclass(frozen=True)
class Issue:
    """Something a reader of the data should know: stable code, column if any, how many rows, and what was done about it."""

    code: str
    column: str | None
    count: int
    message: str


@dataclass(frozen=True)
class Dataset:
    """A parsed table.

    Attributes
    ----------
    frame : DataFrame (n_rows, n_columns)
        All columns but the target, typed as `Table` describes; GROUP and TIME columns included.
    roles : dict of column name to Role
        A column that steers the split (GROUP, TIME) is listed under that role; `feature_roles` says how it may be used as a feature.
    feature_roles : dict of column name to Role
        What the values are, for every column of `frame`.
    y : ndarray (n_rows,)
        float64 values, or int64 class codes.
    classes : tuple of str
        Labels in code order, as they are written in the file; empty for regression.
    row_ids : ndarray (n_rows,) int64
        Row numbers of the file, counted from 0 before any row was dropped.
    fingerprint : str
        Content hash of values, column names, roles and target: 16 hexadecimal digits.
    """

    name: str
    target: str
    frame: pd.DataFrame
    roles: dict[str, Role]
    feature_roles: dict[str, Role]
    y: np.ndarray
    classes: tuple[str, ...]
    row_ids: np.ndarray
    fingerprint: str
    issues: tuple[Issue, ...]

    @property
    def n_rows(self) -> int:
        """Rows with a known target."""
        return len(self.y)

    @property
    def table(self) -> Table:
        """All columns that may be features, ids and constants included, with what their values are as roles."""
        return Table(self.frame, self.feature_roles)
