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

STRENGTHS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of the shrinkage, in rows."""
_TREES = 20
_FOLDS = 5
_FEW_ROWS, _FOLDS_OF_FEW = 4_000, 3
"""Where fewer rows tell (of two classes, twice those of the rarer one), one fold would leave the choice to chance."""
_ROWS_AT_MOST, _CHANCES_AT_MOST = 10_000, 500_000
"""Of a small forest's training and held-out rows; fewer rows where there are many classes."""
_TRUSTED = 3.0
"""A strength that says of the smallest leaves that they are not too small."""
_VALUES_AT_ONCE = 2_000_000
_SEARCH_SHARE = 0.4
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
    telling = 2 * shape.minority_share * shape.n_rows if shape.kind == "binary" else shape.n_rows
    return int(2 * _n_folds(telling) * _TREES * min(1.0, _ROWS_AT_MOST / max(shape.n_rows, 1)))


def _n_folds(telling: float) -> int:
    return _FOLDS_OF_FEW if telling < _FEW_ROWS else 1


def choose_smoothing(
    make: MakeForest, data: TrainingData, leaves: Sequence[int], strengths: Sequence[float], default: Smoothing
) -> tuple[Smoothing, bool]:
    """Return the best of these leaves and strengths on rows that small forests did not see, or the default where there are no such
    rows or no time; and whether the clock had a say in it.

    Parameters
    ----------
    leaves : sequence of int
        Rows of the smallest leaf, the smallest first; where the strength may be chosen, larger ones are tried only if that wants to
        be shrunk.
    """
    if len(leaves) * len(strengths) == 1:
        return Smoothing(leaves[0], strengths[0]), False
    clock, pairs = data.deadline.share(_SEARCH_SHARE), list(_pairs(data))
    best, least = default, np.inf
    for leaf_rows in leaves if pairs else ():
        losses = np.zeros(len(strengths))
        for fit, held in pairs:
            if clock.passed:
                return best, True
            losses += _losses(make(leaf_rows), data, fit, held, strengths)
        if np.nanmin(losses, initial=np.inf) < least:
            least, best = float(np.nanmin(losses)), Smoothing(leaf_rows, strengths[int(np.nanargmin(losses))])
        if len(strengths) > 1 and best.strength <= _TRUSTED:
            break
    return best, False


def without_idle_limit(forest: Any, n_rows: int) -> Any:
    """The estimator without a limit of leaves that these rows cannot reach: trees grow in half the time, depth first."""
    if (forest.max_leaf_nodes or 0) >= n_rows:
        forest.set_params(max_leaf_nodes=None)
    return forest


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
    there are few rows that tell."""
    if data.inner_folds is None:
        return
    telling = 2 * np.bincount(data.y).min() if data.kind == "binary" else len(data.y)
    rng = np.random.default_rng(data.seed)
    for pair in data.inner_folds(_FOLDS)[-_n_folds(telling) :]:
        fit, held = (_some(part, data, rng) for part in pair)
        if data.kind == "regression":
            yield fit, held
            continue
        # Of a class that is missing in a part, trees would count the others anew; rows of one class have no order.
        ordered = not _by_rank(data) or np.ptp(data.y[held]) > 0
        if len(np.unique(data.y[fit])) == data.n_classes and ordered:
            yield fit, held


def _some(rows: np.ndarray, data: TrainingData, rng: np.random.Generator) -> np.ndarray:
    """These rows, or a sample with a fair share for rare classes."""
    most = min(_ROWS_AT_MOST, _CHANCES_AT_MOST // max(1, data.n_classes))
    if len(rows) <= most:
        return rows
    if data.kind == "regression":
        return np.sort(rng.choice(rows, most, replace=False))
    codes = data.y[rows]
    counts = np.bincount(codes, minlength=data.n_classes)
    kept = np.maximum(counts * most // len(rows), np.minimum(counts, most // (2 * data.n_classes)))
    return np.sort(
        np.concatenate([rng.choice(rows[codes == code], n, replace=False) for code, n in enumerate(kept) if n])
    )


def _by_rank(data: TrainingData) -> bool:
    return data.kind == "binary" and data.metric.key in _RANKING


def _losses(
    forest: Any, data: TrainingData, fit: np.ndarray, held: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Loss on the held-out rows by strength (n_strengths,)."""
    forest.set_params(n_estimators=_TREES, n_jobs=data.threads)
    with joblib.parallel_config("threading", n_jobs=data.threads):
        without_idle_limit(forest, len(fit)).fit(
            data.X.iloc[fit].to_numpy(dtype=np.float32),
            data.y[fit],
            sample_weight=None if data.weight is None else data.weight[fit],
        )
    rows = np.ascontiguousarray(data.X.iloc[held].to_numpy(dtype=np.float32))
    total = squares = np.zeros((len(strengths), len(rows), max(1, data.n_classes)))
    trees = [estimator.tree_ for estimator in forest.estimators_]
    for tree, shrunk in zip(trees, _shrunk(trees, strengths), strict=True):
        found = shrunk[:, tree.apply(rows)]
        total, squares = total + found, squares + found**2
    mean = total / _TREES
    y, weight = data.y[held], None if data.weight is None else data.weight[held]
    if _by_rank(data):
        return np.array([-data.metric.score(y, prediction) for prediction in mean])
    # What the spread of single trees adds to the squared error of so few is gone in a large forest.
    spread = (squares / _TREES - mean**2) / (_TREES - 1)
    target = y[:, None] if data.kind == "regression" else np.eye(data.n_classes)[y]
    return np.asarray(np.average(((mean - target) ** 2 - spread).sum(axis=2), axis=1, weights=weight))
