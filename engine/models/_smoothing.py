"""How much a forest may trust single rows: the size of its leaves, and hierarchical shrinkage (Agarwal et al. 2022), which draws
every node towards its parent the more, the fewer rows the parent has.

On tables with little noise small leaves are worth more than anything else (phoneme, extra trees: ROC AUC 0.960 with leaves of one
row, 0.912 with leaves of ten), on noisy ones they ruin a ranking (telco_churn: 0.811, 0.844). Small forests tell which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np

from ..plugins import Positions, TrainingData
from ..shape import DataShape

_STRENGTHS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of the shrinkage, in rows."""
_TREES = 20
_FOLDS = 5
_FEW_ROWS, _FOLDS_OF_FEW = 4_000, 3
"""Where fewer rows tell (of two classes, twice those of the rarer one), one fold would leave the choice to chance."""
_ROWS_AT_MOST, _CHANCES_AT_MOST = 10_000, 500_000
"""Of a small forest's training and held-out rows; fewer rows where there are many classes."""
_VALUES_AT_ONCE = 2_000_000
_SEARCH_SHARE = 0.25
_RANKING = ("roc_auc", "average_precision")
"""Metrics of two classes that choose for themselves; elsewhere the squared error of values and chances tells more of each row."""

MakeForest = Callable[[int], Any]
"""Rows of the smallest leaf → an estimator that has not been fitted."""


@dataclass(frozen=True)
class Smoothing:
    """What a forest is grown with."""

    leaf_rows: int
    strength: float


def coarse_leaf(n_rows: int) -> int:
    """Rows of a leaf that suit noisy tables of this size."""
    return int(np.clip(n_rows // 400, 2, 16))


def trees_to_choose(shape: DataShape) -> int:
    """Trees on all rows that take as long as those of a choice between two leaves."""
    folds = _FOLDS_OF_FEW if shape.n_rows < _FEW_ROWS else 1
    return int(2 * folds * _TREES * min(1.0, _ROWS_AT_MOST / max(shape.n_rows, 1)))


def choose_smoothing(make: MakeForest, data: TrainingData, leaves: Sequence[int], default: Smoothing) -> Smoothing:
    """Return the best of these leaves and all strengths on rows that small forests did not see, or the default where there are no
    such rows or no time.

    Parameters
    ----------
    leaves : sequence of int
        Rows of the smallest leaf; among equals the first one is taken.
    """
    clock = data.deadline.share(_SEARCH_SHARE)
    told = np.zeros((len(leaves), len(_STRENGTHS)))
    for fit, held in _pairs(data):
        losses = []
        for leaf_rows in leaves:
            if clock.passed:
                break
            losses.append(_losses(make(leaf_rows), data, fit, held))
        if len(losses) < len(leaves):
            break
        told += losses
    if not told.any() or not np.isfinite(told).any():
        return default
    leaf, strength = np.unravel_index(int(np.nanargmin(told)), told.shape)
    return Smoothing(leaves[int(leaf)], _STRENGTHS[int(strength)])


def smooth(trees: Sequence[Any], strength: float) -> None:
    """Shrink the leaves of fitted scikit-learn trees in place."""
    if strength > 0.0:
        for tree, shrunk in zip(trees, _shrunk(trees, (strength,)), strict=True):
            leaves = tree.children_left < 0
            tree.value[leaves, 0] = shrunk[0, leaves]


def _shrunk(trees: Sequence[Any], strengths: Sequence[float]) -> Iterator[np.ndarray]:
    """For every tree the values of its nodes (n_strengths, n_nodes, n_outputs): that of the root, and on the way down the steps
    between parent and child, each divided by one plus the strength over the parent's rows."""
    strength = np.asarray(strengths)[:, None, None]
    for some in _at_once(trees, len(strengths)):
        # One level of many trees at a time: one tree has too few nodes for what a step costs in Python.
        counts = [tree.node_count for tree in some]
        roots = np.cumsum([0, *counts[:-1]])
        left, right = (
            np.concatenate([np.where(sides < 0, -1, sides + root) for sides, root in zip(children, roots, strict=True)])
            for children in ([tree.children_left for tree in some], [tree.children_right for tree in some])
        )
        values = np.concatenate([tree.value[:, 0, :] for tree in some])
        n_rows = np.concatenate([tree.weighted_n_node_samples for tree in some])
        shrunk = np.empty((len(strengths), *values.shape))
        parents = roots
        shrunk[:, parents] = values[parents]
        while len(parents := parents[left[parents] >= 0]):
            kept = 1.0 / (1.0 + strength / n_rows[parents][None, :, None])
            for children in (left[parents], right[parents]):
                shrunk[:, children] = shrunk[:, parents] + kept * (values[children] - values[parents])
            parents = np.concatenate([left[parents], right[parents]])
        for root, count in zip(roots, counts, strict=True):
            yield shrunk[:, root : root + count]


def _at_once(trees: Sequence[Any], n_strengths: int) -> Iterator[list[Any]]:
    """Trees whose nodes' values do not fill the memory."""
    some: list[Any] = []
    for tree in trees:
        some.append(tree)
        if sum(one.value.size for one in some) * n_strengths > _VALUES_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _pairs(data: TrainingData) -> Iterator[Positions]:
    """Rows to grow small forests on and rows to score them by, as the split cuts them; the last of the folds, or several where
    there are few rows."""
    if data.inner_folds is None:
        return
    telling = 2 * np.bincount(data.y).min() if data.kind == "binary" else len(data.y)
    rng = np.random.default_rng(data.seed)
    for pair in data.inner_folds(_FOLDS)[-(_FOLDS_OF_FEW if telling < _FEW_ROWS else 1) :]:
        fit, held = (_some(part, rng, data.n_classes) for part in pair)
        # A part of the rows can lack a class: trees would count the others anew.
        if len(held) and (data.kind == "regression" or len(np.unique(data.y[fit])) == data.n_classes):
            yield fit, held


def _some(rows: np.ndarray, rng: np.random.Generator, n_classes: int) -> np.ndarray:
    most = min(_ROWS_AT_MOST, _CHANCES_AT_MOST // max(1, n_classes))
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _losses(forest: Any, data: TrainingData, fit: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Loss on the held-out rows by strength (n_strengths,)."""
    forest.set_params(n_estimators=_TREES, n_jobs=data.threads)
    with joblib.parallel_config("threading", n_jobs=data.threads):
        forest.fit(
            data.X.iloc[fit].to_numpy(dtype=np.float32),
            data.y[fit],
            sample_weight=None if data.weight is None else data.weight[fit],
        )
    rows = np.ascontiguousarray(data.X.iloc[held].to_numpy(dtype=np.float32))
    total = squares = np.zeros((len(_STRENGTHS), len(rows), max(1, data.n_classes)))
    trees = [estimator.tree_ for estimator in forest.estimators_]
    for tree, shrunk in zip(trees, _shrunk(trees, _STRENGTHS), strict=True):
        found = shrunk[:, tree.apply(rows)]
        total, squares = total + found, squares + found**2
    mean = total / _TREES
    y, weight = data.y[held], None if data.weight is None else data.weight[held]
    if data.kind == "binary" and data.metric.key in _RANKING and np.ptp(y) > 0:
        return np.array([-data.metric.score(y, prediction) for prediction in mean])
    # What the spread of single trees adds to the squared error of so few is gone in a large forest.
    spread = (squares / _TREES - mean**2) / (_TREES - 1)
    target = y[:, None] if data.kind == "regression" else np.eye(data.n_classes)[y]
    return np.asarray(np.average(((mean - target) ** 2 - spread).sum(axis=2), axis=1, weights=weight))
