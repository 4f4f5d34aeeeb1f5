"""Which class is named: the likeliest one, or, where the metric rewards decisions, the one that its weighted chance is greatest of.

F1 and balanced accuracy want a rare class named at a smaller chance than one half (for F1: at half of the best F1 that can be had;
Lipton, Elkan and Narayanaswamy 2014). One weight per class is learnt on rows that were not fitted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .task import Task

_Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Rightly named (…, n_classes), named (…, n_classes), there (n_classes,), all as numbers of rows → scores (…,)."""

_MOST_ROWS, _MOST_WORK = 50_000, 2_000_000
_LEAST_ROWS_PER_CLASS = 20
"""Rows that are looked at, so many times the classes squared; where that leaves few for each class, the shares alone decide."""
_LARGEST_RATIO = 1e6
_BELIEVED = 0.5
"""A row counts as its class by half, and by its chances as the other half: a threshold wavers half as much. Over 36 subsamples of
300 and 1,000 rows of three tables, F1 rose from 0.605 by labels alone to 0.608 (0.535 by the greatest chance). The weights
found are then taken half way, in logarithms, to what the shares alone suggest: on 1,000 and 4,000 rows of wine_quality F1 of good
ones +0.005, balanced accuracy of all seven qualities 0.388 → 0.397, elsewhere no difference."""


def rewards_decisions(task: Task) -> bool:
    """Whether the metric wants another class named than the likeliest one."""
    return task.metric.key in _SCORES


def decision_weights(y: np.ndarray, chances: np.ndarray, task: Task) -> np.ndarray:
    """Weights (n_classes,) of chances (n_rows, n_classes), so that naming the class of the greatest product scores best.

    Parameters
    ----------
    y : ndarray (n_rows,)
        Class codes of rows that were not fitted.
    """
    n_classes = chances.shape[1]
    y, chances = y.astype(np.int64), chances.astype(np.float64)
    believed = (1.0 - _BELIEVED) * chances
    believed[np.arange(len(y)), y] += _BELIEVED
    by_share = _by_share(np.maximum(believed.mean(axis=0), 1.0 / len(y)), task)
    if len(y) > (most := min(_MOST_ROWS, _MOST_WORK // n_classes**2)):
        drawn = np.random.default_rng(0).choice(len(y), most, replace=False)
        believed, chances = believed[drawn], chances[drawn]
    weights = by_share.copy()
    # One weight of two says it all; of several, each is found twice, the rarest first.
    codes = (1,) if n_classes == 2 else (*np.argsort(-by_share), *np.argsort(-by_share))
    for code in codes if len(chances) >= _LEAST_ROWS_PER_CLASS * n_classes else ():
        weights[code] = _best_weight(int(code), weights, chances, believed, _SCORES[task.metric.key])
    weights = np.sqrt(by_share * weights)
    return np.asarray(np.maximum(weights / weights.max(), 1.0 / _LARGEST_RATIO))


def _by_share(shares: np.ndarray, task: Task) -> np.ndarray:
    """Weights (n_classes,) that these shares of the classes alone suggest."""
    if task.metric.key == "f1":
        # Half of the best F1 is never above one half: the positive class never weighs less than the other.
        return np.array([1.0, max(1.0, float(np.sqrt(shares[0] / shares[1])))])
    return np.asarray(shares ** (-1.0 if task.metric.key == "balanced_accuracy" else -0.5))


def _best_weight(code: int, weights: np.ndarray, chances: np.ndarray, believed: np.ndarray, score: _Score) -> float:
    """The weight of one class that scores best while the others keep theirs: every one that names other rows is tried."""
    rivals = chances * weights
    rivals[:, code] = -1.0
    rival = rivals.argmax(axis=1)
    rows = np.arange(len(rival))
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(chances[:, code] > 0.0, rivals[rows, rival] / chances[:, code], np.inf)
    order = np.argsort(needed, kind="stable")
    needed, rival, believed_there = needed[order], rival[order], believed[order]
    # Row by row, from all rows to the rivals to all rows to this class.
    moved = np.zeros((len(rows) + 1, chances.shape[1]))
    moved[rows + 1, rival] = 1.0
    named = moved.cumsum(axis=0)
    moved[rows + 1, rival] = believed_there[rows, rival]
    right = moved.cumsum(axis=0)
    named, right = named[-1] - named, right[-1] - right
    named[:, code] = np.arange(len(rows) + 1)
    right[1:, code] = np.cumsum(believed_there[:, code])
    scores = score(right, named, believed.sum(axis=0))
    between = (needed[:-1] < needed[1:]) & np.isfinite(needed[1:]) & (needed[:-1] > 0.0)
    if not between.any():
        return float(weights[code])
    taken = int(np.flatnonzero(between)[scores[1:-1][between].argmax()])
    middle = np.sqrt(needed[taken]) * np.sqrt(needed[taken + 1])
    return float(np.clip(middle, 1.0 / _LARGEST_RATIO, _LARGEST_RATIO))


def _f1_of_classes(right: np.ndarray, named: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 * right / np.maximum(named + there, 1e-12))


_SCORES: dict[str, _Score] = {
    "f1": lambda right, named, there: _f1_of_classes(right, named, there)[..., 1],
    "f1_macro": lambda right, named, there: _f1_of_classes(right, named, there).mean(axis=-1),
    "balanced_accuracy": lambda right, _named, there: (right / np.maximum(there, 1e-12)).mean(axis=-1),
}
"""As in `task`, but on parts of rows: a class that is neither there nor named counts as 0, as nobody is of a class by nothing."""
