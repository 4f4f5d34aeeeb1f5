"""Scores that are asked for thousands of times on the same rows: the metrics of `engine.task` without their checks of every input.

They give the same numbers. A metric that is not written out here is scored by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .task import Task


class QuickLoss:
    """Loss (lower is better) of predictions (n_rows, n_outputs) on fixed rows."""

    def __init__(self, y: np.ndarray, task: Task) -> None:
        self._sign = -1.0 if task.metric.greater_is_better else 1.0
        self._score = _quick(y, task)

    def __call__(self, prediction: np.ndarray) -> float:
        """The loss."""
        return self._sign * self._score(prediction)

    def score(self, prediction: np.ndarray) -> float:
        """The metric itself, in its own direction."""
        return self._score(prediction)


def _quick(y: np.ndarray, task: Task) -> Callable[[np.ndarray], float]:
    key, n_outputs = task.metric.key, task.n_outputs
    if key == "roc_auc":
        codes_scored = [1] if n_outputs == 2 else np.unique(y).tolist()
        one_vs_rest = [(code, np.flatnonzero(y == code), np.flatnonzero(y != code)) for code in codes_scored]
        return lambda prediction: float(np.mean([_auc(prediction[:, code], *rows) for code, *rows in one_vs_rest]))
    if key == "average_precision":
        return lambda prediction: _average_precision(y == 1, prediction[:, 1])
    if key in _OF_COUNTS:
        of_counts, codes = _OF_COUNTS[key], y.astype(np.int64) * n_outputs
        return lambda prediction: of_counts(
            np.bincount(codes + _labels(prediction), minlength=n_outputs**2).reshape(n_outputs, n_outputs)
        )
    if key == "brier":
        return lambda prediction: float(np.mean((prediction[:, 1] - (y == 1)) ** 2))
    if key == "rmse":
        return lambda prediction: float(np.sqrt(np.mean((y - prediction[:, 0]) ** 2)))
    if key == "mae":
        return lambda prediction: float(np.abs(y - prediction[:, 0]).mean())
    if key == "r2" and (spread := float(np.var(y))) > 0.0:
        return lambda prediction: 1.0 - float(np.mean((y - prediction[:, 0]) ** 2)) / spread
    return lambda prediction: task.metric.score(y, prediction)


def _auc(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """Share of (positive, negative) pairs of rows in the right order, ties counted half (Mann–Whitney)."""
    above, below = np.sort(scores[positive]), np.sort(scores[negative])
    # The shorter side is looked up in the longer one.
    few, many = (above, below) if len(above) <= len(below) else (below, above)
    beaten = np.searchsorted(many, few, "left").sum() + np.searchsorted(many, few, "right").sum()
    share = float(beaten) / 2.0 / (float(len(above)) * float(len(below)))
    return share if few is above else 1.0 - share


def _average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Mean precision at the distinct scores, weighted by the recall each adds."""
    order = np.argsort(-scores)
    ordered, hits = scores[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(scores) - 1)
    found = hits[last]
    return float((np.diff(found, prepend=0) * found / (last + 1.0)).sum() / max(hits[-1], 1))


def _labels(prediction: np.ndarray) -> np.ndarray:
    """Class of the greatest probability (n_rows,), the first among equals."""
    if prediction.shape[1] == 2:
        return (prediction[:, 1] > prediction[:, 0]).astype(np.int64)
    return np.asarray(prediction.argmax(axis=1))


def _accuracy(counts: np.ndarray) -> float:
    return float(np.trace(counts) / counts.sum())


def _balanced_accuracy(counts: np.ndarray) -> float:
    actual = counts.sum(axis=1)
    return float((np.diag(counts)[actual > 0] / actual[actual > 0]).mean())


def _f1_of_classes(counts: np.ndarray) -> np.ndarray:
    """F1 of the classes (n_classes,), NaN for one that is neither there nor predicted."""
    either = counts.sum(axis=0) + counts.sum(axis=1)
    return np.asarray(np.where(either > 0, 2.0 * np.diag(counts) / np.maximum(either, 1), np.nan))


_OF_COUNTS: dict[str, Callable[[np.ndarray], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": lambda counts: float(np.nan_to_num(_f1_of_classes(counts)[1])),
    "f1_macro": lambda counts: float(np.nanmean(_f1_of_classes(counts))),
}
"""Scores from how often class i (row) was taken for class j (column)."""
