"""What every imputation does once its fill values are known: numbers, 0/1 columns, optional indicators and categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...plugins import ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..levels import Levels, all_levels, from_codes, with_categories
from ..numbers import add_numbers, fresh_names, known_or, matrix

if TYPE_CHECKING:
    import optuna

MISSING = "missing"

DEFAULTS: ParamDict = {"indicator": False, "categories": False}


@dataclass(frozen=True)
class Filling:
    """Fill values per column.

    Attributes
    ----------
    values : mapping of numeric or boolean column to its fill value
    indicators : tuple of str
        Columns that get a 0/1 column "was missing": those with gaps in the training rows.
    indicator_names : tuple of str
    levels : mapping of categorical column to its training levels with `missing` among them; empty: categories stay as they are
    """

    values: dict[str, float]
    indicators: tuple[str, ...]
    indicator_names: tuple[str, ...]
    levels: dict[str, Levels]

    @classmethod
    def fit(cls, table: Table, numeric: np.ndarray, params: ParamDict) -> Filling:
        """Take the fill values (n_numeric,) of the numeric columns; 0/1 columns get their most frequent value."""
        names, flags = table.columns(Role.NUMERIC), table.columns(Role.BOOLEAN)
        values = {name: float(value) for name, value in zip(names, known_or(numeric, 0.0), strict=True)}
        for name in flags:
            values[name] = float(np.nan_to_num(matrix(table, [name])).sum() * 2 > table.frame[name].notna().sum())
        gaps: tuple[str, ...] = ()
        if params["indicator"]:
            # A column without any value has nothing to tell by its gaps.
            missing = {name: np.isnan(matrix(table, [name])) for name in values}
            gaps = tuple(name for name, gap in missing.items() if gap.any() and not gap.all())
        levels: dict[str, Levels] = {}
        if params["categories"]:
            levels = {name: _with_missing(known) for name, known in all_levels(table).items()}
        return cls(values, gaps, tuple(fresh_names(table, (f"{name} is missing" for name in gaps))), levels)

    def apply(self, table: Table) -> Table:
        """Fill the gaps; an unseen level becomes `missing` where categories are filled."""
        flags = np.isnan(matrix(table, self.indicators))
        table = self.fill_numbers(table)
        filled = {}
        for name, levels in self.levels.items():
            code = levels.names.index(MISSING)
            filled[name] = from_codes(levels.codes(table.frame[name], missing=code, unseen=code), levels.names)
        return add_numbers(with_categories(table, filled), self.indicator_names, flags, Role.BOOLEAN)

    def fill_numbers(self, table: Table) -> Table:
        """Fill numeric and boolean columns; their type stays."""
        filled = {}
        for name, value in self.values.items():
            series = table.frame[name]
            known = series.to_numpy(dtype=np.float64, na_value=np.nan)
            gaps = ~np.isfinite(known)
            if gaps.any():
                filled[name] = pd.Series(np.where(gaps, value, known), index=series.index).astype(series.dtype)
        return table.replace(table.frame.assign(**filled)) if filled else table


def _with_missing(levels: Levels) -> Levels:
    if MISSING in levels.names:
        return levels
    return Levels((*levels.names, MISSING), np.append(levels.counts, levels.n_missing), levels.n_missing)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """The options all imputations have; the one for categories only where there are some."""
    found: ParamDict = {"indicator": trial.suggest_categorical("indicator", [False, True])}
    if shape.n_categorical:
        found["categories"] = trial.suggest_categorical("categories", [False, True])
    return found
