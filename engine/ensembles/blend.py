"""Half a weighted mean, half a linear stack of the same members: two ways to be wrong that differ.

The mean of probabilities is too careful and moves weight slowly; the stack adds log probabilities, sharpens, and follows the folds
closer than the models that are fitted on all rows later do. What the mean gives a share of less than a few percent takes no part.
Probabilities get one temperature at the end, which leaves rankings as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ..temperature import Temperature, fit_temperature
from ._linear import linear_stack
from ._optimised import optimised_weights

_ROWS_AT_MOST = 20_000
"""For the temperature."""


@dataclass
class FittedBlend:
    """`weights` are the shares of the weighted half; members of share 0.0 take no part in the stack either."""

    weights: tuple[float, ...] | None
    mean: FittedEnsemble
    stack: FittedEnsemble
    temperature: Temperature | None = None

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        assert self.weights is not None
        used = [position for position, weight in enumerate(self.weights) if weight > 0.0]
        blended = 0.5 * (self.mean.combine(stack) + self.stack.combine(stack[used]))
        return blended if self.temperature is None else self.temperature.apply(blended)


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    mean = optimised_weights(stack, y, task, seed)
    used = np.flatnonzero(np.asarray(mean.weights, dtype=np.float64))
    if len(used) == 1:
        return mean
    blend = FittedBlend(mean.weights, mean, linear_stack(stack[used], y, task, seed))
    if task.is_classification:
        rows = slice(None, None, len(y) // _ROWS_AT_MOST + 1)
        blend.temperature = fit_temperature(blend.combine(stack[:, rows]), y[rows])
    return blend


ENSEMBLE = Ensemble(
    key="blend",
    title="Blend of weights and a linear stack",
    summary="Half the optimised weights' mean, half a linear stack of the same members, with one temperature for probabilities.",
    fit=_fit,
    priority=10,
    averages=False,
)
