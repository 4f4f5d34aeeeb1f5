"""Predictions stay within the range of targets that were seen, with a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class RangeClip:
    """Bounds of a prediction."""

    low: float
    high: float

    def apply(self, prediction: np.ndarray) -> np.ndarray:
        """Pull predictions (n_rows, 1) into the bounds."""
        return np.asarray(np.clip(prediction, self.low, self.high))


def fit(prediction: np.ndarray, y: np.ndarray, params: ParamDict, context: FitContext) -> RangeClip:
    """Measure the range of the targets, extended by a share of its width; targets that are never negative stay so."""
    low, high = float(y.min()), float(y.max())
    margin = float(params["margin"] or 0.0) * (high - low)
    floor = 0.0 if low >= 0.0 else -np.inf
    return RangeClip(max(low - margin, floor), high + margin)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Width of the margin, as a share of the range."""
    return {"margin": trial.suggest_float("margin", 0.01, 1.0, log=True)}


COMPONENT = Component(
    key="clip_to_range",
    slot="post",
    group="post",
    title="Clip to the known range",
    summary="Keeps regression predictions near the range of known targets: guards linear models and networks from wild values.",
    defaults={"margin": 0.2},
    space=space,
    tasks=frozenset({"regression"}),
    fit_post=fit,
    reads_targets_only=True,
)
