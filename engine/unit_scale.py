"""Targets far from the size that native learners are built for.

XGBoost and LightGBM keep targets and gradients in single precision, and trees ignore gains below fixed bounds. Values in amperes or
farads, or a small spread on top of a large offset, would be learnt as a constant without a word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SPREAD_LEAST, _SPREAD_MOST = 0.01, 1e9
_OFFSET_MOST = 1e4
"""A standard deviation within these bounds, and a mean of at most so many of them, is left alone: ordinary targets are learnt as
they are."""


@dataclass(frozen=True)
class UnitScale:
    """Values are divided by `spread` after `centre` was taken off."""

    centre: float
    spread: float

    @classmethod
    def of(cls, y: np.ndarray) -> UnitScale | None:
        """What brings targets (n_rows,) to unit size; None where they can be learnt as they are."""
        spread, mean = float(np.std(y)), float(np.mean(y))
        if spread == 0.0 or not np.isfinite(spread):
            return None
        centre = mean if abs(mean) > _OFFSET_MOST * spread else 0.0
        if centre == 0.0 and _SPREAD_LEAST <= spread <= _SPREAD_MOST:
            return None
        return cls(centre, spread)

    def apply(self, y: np.ndarray) -> np.ndarray:
        """Values of any shape → unit size."""
        return np.asarray((y - self.centre) / self.spread)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """Unit size → values."""
        return np.asarray(y * self.spread + self.centre)
