"""The learner fits log(1 + y); of targets below 1 log(1 + y / median), since their own unit is too large to bend anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ._bounded import Bounds

_SMALLEST = -1.0 + 1e-9
_SKEWED = 0.5
_LARGEST_SHARE = 1e9


@dataclass(frozen=True)
class LogTarget:
    """log(1 + y) with an inverse that stays near the training range."""

    bounds: Bounds
    unit: float = 1.0

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Targets above −1 (n_rows,) → their logarithms."""
        return _logarithms(y, self.unit)

    def weights(self, y: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Equal weights."""
        return None

    def inverse(self, prediction: np.ndarray) -> np.ndarray:
        """Logarithms → values."""
        return self.bounds.clip_own(np.expm1(self.bounds.clip_fitted(prediction)) * self.unit)


def fit(y: np.ndarray, params: ParamDict, context: FitContext) -> LogTarget:
    """Measure the unit and the range."""
    # RMSLE is about log(1 + y) itself.
    unit = 1.0 if context.task.metric.key == "rmsle" else _unit(y)
    return LogTarget(Bounds.of(_logarithms(y, unit), y), unit)


def _logarithms(y: np.ndarray, unit: float) -> np.ndarray:
    return np.asarray(np.log1p(np.maximum(y / unit, _SMALLEST)))


def _unit(y: np.ndarray) -> float:
    """1, or the median of the positive targets where that is less and none is negative."""
    positive = y[y > 0.0]
    if not len(positive) or y.min() < 0.0:
        return 1.0
    # Not so small that a division overflows.
    return float(np.clip(np.median(positive), y.max() / _LARGEST_SHARE, 1.0))


def applies(shape: DataShape) -> str | None:
    """Needs a target above −1 with a long right tail."""
    if shape.target_min <= -1.0:
        return f"the target goes down to {shape.target_min:g}; log(1 + y) needs values above −1"
    return None if shape.target_skew > _SKEWED else f"the target is not skewed to the right ({shape.target_skew:.1f})"


COMPONENT = Component(
    key="log1p",
    slot="target",
    group="target",
    title="Logarithm of the target",
    summary="Fits log(1 + y) and predicts on the original scale: for prices, counts and other targets with a long right tail.",
    tasks=frozenset({"regression"}),
    applies=applies,
    fit_target=fit,
)
