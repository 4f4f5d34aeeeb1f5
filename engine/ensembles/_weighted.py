"""A weighted mean of members, the fitted form of every strategy that looks for weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class FittedWeights:
    """Non-negative weights that sum to 1; members of weight 0 are not read."""

    weights: tuple[float, ...] | None

    @classmethod
    def of(cls, weights: np.ndarray, floor: float = 0.05) -> FittedWeights:
        """Drop weights below `floor` and scale the rest to 1, so that idle members need not be kept."""
        kept = np.where(weights >= floor, weights, 0.0)
        if kept.sum() <= 0.0:
            kept = np.ones(len(weights))
        return cls(tuple((kept / kept.sum()).tolist()))

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """(n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""
        assert self.weights is not None
        used = [position for position, weight in enumerate(self.weights) if weight > 0.0]
        if len(used) == 1:
            return np.asarray(stack[used[0]])
        total = np.zeros(stack.shape[1:])
        for position in used:
            total += self.weights[position] * stack[position]
        return total
