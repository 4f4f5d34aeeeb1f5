"""Greedy selection with replacement (Caruana et al. 2004), bagged over members, on the task's own metric.

Each bag starts from the best of a random half of the members and adds, round by round, the member whose addition scores best; the
weights are how often each was taken. The outcome is compared with the best single member on up to 50,000 rows and is never worse
than it there. Rows are sampled by their number and width alone, so that a fit takes about a second and the clock has no say in it.
"""

from __future__ import annotations

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..quick_scores import QuickLoss
from ..task import Task
from ._weighted import FittedWeights

_ROUNDS = 25
_BAGS = 4
_SEARCHED_VALUES = 12_000_000
"""About how many predictions may be scored in the search; rows are sampled down to it, to 1,000 at least."""
_COMPARED_VALUES, _COMPARED_ROWS = 400_000, 50_000
"""How much of each member the last comparison reads at most."""


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    if len(stack) == 1:
        return FittedWeights((1.0,))
    random = np.random.default_rng(seed)
    n_compared = min(_COMPARED_ROWS, _COMPARED_VALUES // stack.shape[2])
    stack, y = _sample(stack, y, task, n_compared, random)
    scorings = len(stack) * _ROUNDS * (1 + _BAGS / 2)
    n_searched = max(1_000, int(_SEARCHED_VALUES / scorings / stack.shape[2]))
    searched, searched_y = _sample(stack, y, task, n_searched, random)
    loss = QuickLoss(searched_y, task)
    counts = np.zeros(len(stack))
    for _ in range(_BAGS):
        size = max(2, (len(stack) + 1) // 2) if len(stack) > 3 else len(stack)
        members = np.sort(random.choice(len(stack), size, replace=False))
        counts[members] += _select(searched[members], loss)
    full = _select(searched, loss)
    compared = QuickLoss(y, task)
    single = np.eye(len(stack))[int(np.argmin([compared(member) for member in stack]))]
    candidates = [FittedWeights.of(weights) for weights in (single, full, counts + full)]
    losses = [compared(candidate.combine(stack)) for candidate in candidates]
    # Bagged weights generalise better: they are preferred unless they lose to the best member.
    if losses[2] <= losses[0]:
        return candidates[2]
    return candidates[int(np.argmin(losses))]


def _sample(
    stack: np.ndarray, y: np.ndarray, task: Task, n_rows: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """About `n_rows` random rows of all members, or all rows; every class keeps a share."""
    if len(y) <= n_rows:
        return stack, y
    if not task.is_classification:
        rows = random.choice(len(y), n_rows, replace=False)
    else:
        share = n_rows / len(y)
        rows = np.concatenate(
            [
                random.choice(positions, max(min(len(positions), 20), int(share * len(positions))), replace=False)
                for positions in (np.flatnonzero(y == code) for code in np.unique(y))
            ]
        )
    rows = np.sort(rows)
    return stack[:, rows], y[rows]


def _select(stack: np.ndarray, loss: QuickLoss) -> np.ndarray:
    """Return the weights (n_members,), summing to 1, of the best prefix of one greedy run."""
    total = np.zeros(stack.shape[1:])
    counts = np.zeros(len(stack))
    best_loss, best = np.inf, counts
    for size in range(1, _ROUNDS + 1):
        losses = [loss((total + member) / size) for member in stack]
        winner = int(np.argmin(losses))
        total = total + stack[winner]
        counts = counts.copy()
        counts[winner] += 1
        if losses[winner] < best_loss:
            best_loss, best = losses[winner], counts
        elif size - best.sum() >= 5:
            break
    return np.asarray(best / best.sum())


ENSEMBLE = Ensemble(
    key="greedy",
    title="Greedy selection",
    summary="Adds, with replacement, the member that helps the metric most; bagged over members.",
    fit=_fit,
    priority=30,
)
