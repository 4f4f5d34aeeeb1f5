"""One factor for values, one per class for chances, learnt out of fold, that bring predictions to what the metric asks for:
values to the level of the target (`level`), chances to the class that ought to be named (`decision`).

They come after a solution's own correction (`post`): a clipped value may leave its range by the factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .decision import decision_weights, rewards_decisions
from .folds import Fold, SplitKind
from .level import is_bent, level_factor
from .shape import DataShape
from .solution import Solution
from .task import Task

Factors = tuple[float, ...]
"""(n_outputs,), or empty where nothing is to be corrected."""

Learn = Callable[[np.ndarray, np.ndarray], Factors]
"""(y (n_rows,), predictions (n_rows, n_outputs)) of rows that were not fitted → factors."""


def correction_of(solution: Solution, task: Task, shape: DataShape, kind: SplitKind) -> Learn | None:
    """How a solution's predictions are corrected; None where they are right as they are."""
    if rewards_decisions(task):
        return lambda y, chances: tuple(decision_weights(y, chances, task).tolist())
    if is_bent(solution, task, shape, kind):
        return lambda y, values: (level_factor(y, values[:, 0]),)
    return None


def correct(prediction: np.ndarray, factors: Factors) -> np.ndarray:
    """Multiply predictions (n_rows, n_outputs) by their factors; chances add up to 1 again."""
    if not factors:
        return prediction
    found = prediction * np.asarray(factors)
    return found if len(factors) == 1 else np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300))


def undo(prediction: np.ndarray, factors: Factors) -> np.ndarray:
    """What was there before `correct`."""
    return correct(prediction, tuple(1.0 / factor for factor in factors))


def cross_fitted(
    y: np.ndarray, folds: Sequence[Fold], predictions: Sequence[np.ndarray], learn: Learn, kind: SplitKind
) -> tuple[list[np.ndarray], Factors]:
    """Correct the predictions (n_valid, n_outputs) of each fold by what the other folds of its repeat teach, the earlier ones where
    time orders them; returns them with the factors that all folds teach. A fold that nothing comes before stays as it is."""

    def factors(numbers: Sequence[int]) -> Factors:
        known = np.concatenate([y[folds[number].valid] for number in numbers])
        return learn(known, np.concatenate([predictions[number] for number in numbers]))

    corrected = []
    for number, fold in enumerate(folds):
        others = [
            one for one, other in enumerate(folds)
            if other.repeat == fold.repeat and (one < number if kind == "time" else one != number)
        ]  # fmt: skip
        corrected.append(correct(predictions[number], factors(others)) if others else predictions[number])
    return corrected, factors([number for number, fold in enumerate(folds) if fold.repeat == 0])
