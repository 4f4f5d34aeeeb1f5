"""A weighted mean of members, the fitted form of every strategy that looks for weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MOST = 8


@dataclass
class FittedWeights:
    """Non-negative weights that sum to 1; members of weight 0 are not read."""

    weights: tuple[float, ...] | None

    @classmethod
    def of(cls, weights: np.ndarray, floor: float = 0.04) -> FittedWeights:
        """Keep the eight largest shares, none below `floor` (below half of the largest, where that is less), and scale them to 1: a
        member of little weight costs a fit and a place in every prediction all the same. All zero counts as equal."""
        shares = weights / weights.sum() if weights.sum() > 0.0 else np.full(len(weights), 1.0 / len(weights))
        kept = np.where(shares >= min(floor, 0.5 * shares.max()), shares, 0.0)
        kept[np.argsort(-kept, kind="stable")[_MOST:]] = 0.0
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
