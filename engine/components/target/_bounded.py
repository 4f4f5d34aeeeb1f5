"""Bounds within which a target transform is inverted, so that no prediction leaves the scale by extrapolating."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MARGIN = 0.2
_MARGIN_OF_VALUES = 0.5


@dataclass(frozen=True)
class Bounds:
    """Extended ranges (low, high) of the training targets: fitted scale by a fifth, own scale by half of its width.

    Own values that were never negative stay so.
    """

    fitted: tuple[float, float]
    own: tuple[float, float]

    @classmethod
    def of(cls, fitted: np.ndarray, y: np.ndarray) -> Bounds:
        """Measure transformed and original training targets, both (n_rows,)."""
        low, high = _extended(y, _MARGIN_OF_VALUES)
        return cls(_extended(fitted, _MARGIN), (max(low, 0.0) if y.min() >= 0.0 else low, high))

    def clip_fitted(self, prediction: np.ndarray) -> np.ndarray:
        """Pull raw predictions into the range; what is not a number becomes its lower end."""
        return np.asarray(np.clip(np.nan_to_num(prediction, nan=self.fitted[0]), *self.fitted))

    def clip_own(self, values: np.ndarray) -> np.ndarray:
        """Pull inverted predictions into the range of the target's own scale."""
        return np.asarray(np.clip(values, *self.own))


def _extended(values: np.ndarray, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low - margin * (high - low), high + margin * (high - low)
