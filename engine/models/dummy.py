"""The floor every learner must beat: class frequencies, or the constant that is best for the metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    weight = np.ones(len(data.y)) if data.weight is None else data.weight
    if data.kind != "regression":
        counts = np.bincount(data.y, weights=weight, minlength=data.n_classes)
        return FittedConstant(counts / counts.sum())
    if data.metric.key in {"mae", "mape"}:
        order = np.argsort(data.y, kind="stable")
        share = np.cumsum(weight[order])
        return FittedConstant(data.y[order][[np.searchsorted(share, share[-1] / 2)]])
    return FittedConstant(np.array([np.average(data.y, weights=weight)]))


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
