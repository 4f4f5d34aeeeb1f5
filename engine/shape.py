"""`DataShape`: the few numbers about a table that defaults, search spaces and applicability depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .task import TaskKind

_BINNED_COLUMNS_AT_MOST, _BINNED_VALUES_AT_MOST = 256, 20_000_000
_ONEHOT_LEVELS = 50
_FEWEST_BINS, _MOST_BINS = 4, 48


@dataclass(frozen=True)
class DataShape:
    """Size and composition of a dataset's feature columns and target."""

    kind: TaskKind
    n_rows: int
    n_numeric: int
    n_categorical: int
    n_boolean: int
    n_datetime: int
    n_text: int
    n_id: int
    max_levels: int
    """Largest number of distinct values of a categorical column; 0 without one."""
    missing_share: float
    """Share of missing feature cells, 0 to 1."""
    n_classes: int
    """0 for regression."""
    minority_share: float
    """Share of the rarest class, 0 to 1; 1.0 for regression."""
    target_skew: float
    """Skewness of a regression target; 0.0 for classification."""
    target_min: float
    """Smallest regression target; 0.0 for classification."""

    @property
    def n_columns(self) -> int:
        """All feature columns."""
        return self.n_numeric + self.n_categorical + self.n_boolean + self.n_datetime + self.n_text

    @property
    def dense_columns(self) -> int:
        """Columns of a table of numbers, one-hot where categories are: a rule of thumb, for what a fit costs, with a third of the
        most levels for each category."""
        levels = max(2, min(self.max_levels, _ONEHOT_LEVELS) // 3)
        return self.n_numeric + levels * self.n_categorical + self.n_boolean + 2 * self.n_datetime + 20 * self.n_text

    @property
    def room_for_bins(self) -> int:
        """Bins for each number that fit into the memory."""
        return min(_BINNED_COLUMNS_AT_MOST, _BINNED_VALUES_AT_MOST // max(self.n_rows, 1)) // max(self.n_numeric, 1)

    @property
    def bins(self) -> int:
        """Bins of a number that is taken piecewise: finer on more rows, as long as there is room; 0 where that is too few."""
        bins = min(int(math.sqrt(self.n_rows) / 4), self.room_for_bins, _MOST_BINS)
        return bins if bins >= _FEWEST_BINS else 0
