"""Rare classes weigh more in fitting; the predicted probabilities are brought back to the real class shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...task import CLASSIFICATION

if TYPE_CHECKING:
    import optuna

_BALANCED = 0.4


@dataclass(frozen=True)
class ClassWeights:
    """Weight of each class (n_classes,)."""

    of_class: np.ndarray

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Class codes stay."""
        return y

    def weights(self, y: np.ndarray) -> np.ndarray | None:
        """Weight of each row (n_rows,), mean 1."""
        weights = self.of_class[y.astype(np.int64)]
        return np.asarray(weights / weights.mean())

    def inverse(self, prediction: np.ndarray) -> np.ndarray:
        """Divide the weights out of the probabilities (n_rows, n_classes) again (Elkan 2001)."""
        restored = prediction / self.of_class
        return np.asarray(restored / np.maximum(restored.sum(axis=1, keepdims=True), 1e-300))


def fit(y: np.ndarray, params: ParamDict, context: FitContext) -> ClassWeights:
    """Weigh each class by (1 / share) ** power; a class without training rows weighs 1."""
    counts = np.bincount(y.astype(np.int64), minlength=context.task.n_outputs).astype(np.float64)
    shares = counts / max(counts.sum(), 1.0)
    weights = np.where(counts > 0, np.maximum(shares, 1e-12) ** -float(params["power"] or 0.0), 1.0)
    return ClassWeights(weights)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """From equal weights (0) to equal classes (1)."""
    return {"power": trial.suggest_float("power", 0.1, 1.0)}


def applies(shape: DataShape) -> str | None:
    """Needs classes of different size."""
    balanced = shape.minority_share * max(shape.n_classes, 2) / 2 >= _BALANCED
    return f"the classes are balanced (rarest {shape.minority_share:.0%})" if balanced else None


COMPONENT = Component(
    key="class_weights",
    slot="target",
    group="target",
    title="Class weights",
    summary="Lets rare classes weigh more in fitting, then restores honest probabilities.",
    defaults={"power": 0.5},
    space=space,
    tasks=CLASSIFICATION,
    applies=applies,
    fit_target=fit,
)
