"""The learner fits a Yeo–Johnson power of the target, as normal as a power can make it (Yeo and Johnson 2000)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import yeojohnson, yeojohnson_llf

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ._bounded import Bounds

_POWERS = np.linspace(-1.0, 3.0, 81)
"""Candidates for λ; beyond them the inverse loses the digits of ordinary targets."""
_SKEWED = 0.5
_FIT_ROWS = 20_000


@dataclass(frozen=True)
class PowerTarget:
    """Standardised target under a power, standardised again."""

    power: float
    center: float
    scale: float
    mean: float
    deviation: float
    bounds: Bounds

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Targets (n_rows,) → values with mean 0 and deviation 1 on the training rows."""
        powered = yeojohnson((y - self.center) / self.scale, lmbda=self.power)
        return np.asarray((powered - self.mean) / self.deviation)

    def weights(self, y: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Equal weights."""
        return None

    def inverse(self, prediction: np.ndarray) -> np.ndarray:
        """Fitted values → the target's own scale, near the training range."""
        values = _inverse_power(self.bounds.clip_fitted(prediction) * self.deviation + self.mean, self.power)
        return self.bounds.clip_own(values * self.scale + self.center)


def fit(y: np.ndarray, params: ParamDict, context: FitContext) -> PowerTarget:
    """Choose the power with the highest likelihood, from at most 20,000 rows."""
    y = np.asarray(y, dtype=np.float64)
    center = float(np.median(y))
    scale = float(np.quantile(y, 0.75) - np.quantile(y, 0.25)) or float(y.std()) or 1.0
    standard = (y - center) / scale
    sample = standard
    if len(y) > _FIT_ROWS:
        sample = np.random.default_rng(context.seed).choice(standard, _FIT_ROWS, replace=False)
    power = 1.0
    if sample.std() > 0.0:
        power = float(_POWERS[np.argmax([yeojohnson_llf(candidate, sample) for candidate in _POWERS])])
    powered = yeojohnson(standard, lmbda=power)
    mean, deviation = float(powered.mean()), float(powered.std()) or 1.0
    return PowerTarget(power, center, scale, mean, deviation, Bounds.of((powered - mean) / deviation, y))


def _inverse_power(values: np.ndarray, power: float) -> np.ndarray:
    """Invert the transform; where a value lies beyond the range of the power, the nearest value it can reach."""
    upper, lower = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    rising = np.expm1(upper) if abs(power) < 1e-9 else _root(upper * power, power)
    falling = np.expm1(lower) if abs(2.0 - power) < 1e-9 else _root(lower * (2.0 - power), 2.0 - power)
    return np.asarray(rising - falling)


def _root(scaled: np.ndarray, power: float) -> np.ndarray:
    """(1 + scaled)^(1/power) − 1 with the base kept above 0: it bounds how far a negative power can reach."""
    return np.asarray(np.expm1(np.log1p(np.maximum(scaled, -1.0 + 1e-6)) / power))


def applies(shape: DataShape) -> str | None:
    """Needs a skewed target."""
    return None if abs(shape.target_skew) > _SKEWED else f"the target is not skewed ({shape.target_skew:.1f})"


COMPONENT = Component(
    key="yeo_johnson",
    slot="target",
    group="target",
    title="Power transform of the target",
    summary="Fits a power of the target that makes it most normal, negative values allowed: for skewed targets of any sign.",
    tasks=frozenset({"regression"}),
    applies=applies,
    fit_target=fit,
)
