"""The model input as one float32 matrix: category levels become codes, missing and unseen levels NaN.

Libraries are given codes and the positions of the category columns instead of a frame: a single row then costs microseconds, and
the codes of a level never depend on what a later frame lists as its categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class MatrixForm:
    """Columns in training order, and the levels of those that are categories."""

    columns: tuple[str, ...]
    levels: dict[str, tuple[object, ...]]

    @classmethod
    def of(cls, X: pd.DataFrame) -> MatrixForm:
        """Read the form of a training frame."""
        levels = {
            str(name): tuple(X[name].cat.categories)
            for name in X.columns
            if isinstance(X[name].dtype, pd.CategoricalDtype)
        }
        return cls(tuple(str(name) for name in X.columns), levels)

    @property
    def category_positions(self) -> list[int]:
        """Positions of the category columns."""
        return [position for position, name in enumerate(self.columns) if name in self.levels]

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Frame (n_rows, n_columns) → float32 (n_rows, n_columns), C order."""
        if not self.levels:
            return np.ascontiguousarray(X[list(self.columns)].to_numpy(dtype=np.float32))
        filled = np.empty((len(X), len(self.columns)), dtype=np.float32)
        series_of = dict(X.items())
        for position, name in enumerate(self.columns):
            series = series_of[name]
            filled[:, position] = self._codes(series) if name in self.levels else series.to_numpy(dtype=np.float32)
        return filled

    def _codes(self, series: pd.Series) -> np.ndarray:
        categories = series.array.categories
        codes = series.array.codes
        known = self.levels[str(series.name)]
        if len(categories) != len(known) or tuple(categories) != known:
            lookup = np.append(pd.Index(known).get_indexer(categories), -1)
            codes = lookup[codes]
        return np.where(codes < 0, np.nan, codes)
