"""The floor every learner must beat: class frequencies, or the constant that is best for the metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..constant import best_value, class_shares
from ..plugins import FittedModel, Model, Needs, TrainingData
from ..shape import DataShape


@dataclass
class FittedConstant:
    """Predicts the same outputs for every row."""

    outputs: np.ndarray
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n_rows, n_columns) → (n_rows, n_outputs)."""
        return np.tile(self.outputs, (len(X), 1))


def _fit(data: TrainingData) -> FittedModel:
    if data.kind != "regression":
        return FittedConstant(class_shares(data.y, data.n_classes, data.weight))
    return FittedConstant(np.array([best_value(data.y, data.metric, data.weight)]))


def _cost(shape: DataShape) -> float:
    return 1e-8 * shape.n_rows + 1e-4


MODEL = Model(
    key="dummy",
    title="Constant",
    family="dummy",
    summary="Class frequencies, mean or median: what a model without features scores.",
    needs=Needs(numeric_only=False, no_missing=False),
    fit=_fit,
    cost=_cost,
    priority=0,
)
