"""`DataShape`: the few numbers about a table that defaults, search spaces and applicability depend on."""

from __future__ import annotations

from dataclasses import dataclass

from .task import TaskKind


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
