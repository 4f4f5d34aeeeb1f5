"""Growing scikit-learn forests in chunks under a deadline, and predicting with them fast and reproducibly."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pandas as pd

from ..errors import DeadlinePassed
from ..plugins import ParamDict, TrainingData
from ..shape import DataShape
from ._smoothing import STRENGTHS, Smoothing, choose_smoothing, coarse_leaf, smooth, trees_to_choose, without_idle_limit

_PARALLEL_ROWS = 2_000
_USUAL_SHRINKAGE = 3.0
"""Where there is nothing to choose it by."""
_MOST_TREES, _ENOUGH_TREES, _TREE_ROWS = 300, 60, 2_000_000
"""Trees by default, and the rows all of them are grown on together: half as many trees cost a log loss a hundredth and an error a
two-hundredth or less, and a forest is one member of several."""
_MOST_LEAVES, _LEAVES_PER_ROW, _FOREST_BYTES, _FEWEST_TREES = 15_000, 0.3, 1 << 28, 20
_NODE_BYTES, _OUTPUT_BYTES = 64, 8
"""What all trees together may fill as long as they are not too few, two folds side by side twice that; a node notes its value for
every class."""


@dataclass
class FittedForest:
    """Trees whose predictions are averaged in a fixed order, so that equal input gives bit-equal output.

    Class probabilities are drawn towards the class frequencies with the weight of `prior_weight` trees: a forest of pure leaves
    would call events impossible, and one such row ruins a log loss.
    """

    trees: list[Any]
    prior: np.ndarray | None
    threads: int
    cut: bool
    rounds: int | None = None
    prior_weight: float = 1.0

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        rows = np.ascontiguousarray(X.to_numpy(dtype=np.float32))
        if len(rows) < _PARALLEL_ROWS or self.threads == 1:
            return self._predict_rows(rows)
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(self._predict_rows, np.array_split(rows, self.threads * 4))))

    def _predict_rows(self, rows: np.ndarray) -> np.ndarray:
        n_outputs = 1 if self.prior is None else len(self.prior)
        total = np.zeros((len(rows), n_outputs))
        for tree in self.trees:
            value = tree.predict(rows)
            total += value.reshape(len(rows), -1)
        if self.prior is not None:
            total += self.prior_weight * self.prior
        mean: np.ndarray = total / (len(self.trees) + (0.0 if self.prior is None else self.prior_weight))
        return mean


def forest_defaults(shape: DataShape) -> ParamDict:
    """AutoGluon's zero-shot setting (300 trees, at most 15,000 leaves), fewer trees on many rows or for many classes; how far
    single rows are trusted is chosen on rows held out, unless it is given."""
    return {
        "n_estimators": _usual_trees(shape),
        "min_samples_leaf": None,
        "shrinkage": None,
        "max_leaf_nodes": _MOST_LEAVES,
    }


def _usual_trees(shape: DataShape) -> int:
    rows = max(shape.n_rows, 1)
    tree_bytes = 2 * min(_MOST_LEAVES, _LEAVES_PER_ROW * rows) * (_NODE_BYTES + _OUTPUT_BYTES * max(1, shape.n_classes))
    enough = np.clip(_TREE_ROWS / rows, _ENOUGH_TREES, _MOST_TREES)
    return int(min(enough, max(_FOREST_BYTES / tree_bytes, _FEWEST_TREES)))


def grown_trees(shape: DataShape) -> int:
    """Trees of a fit by default, for what it costs: the small forests that choose the smoothing among them."""
    return _usual_trees(shape) + trees_to_choose(shape)


def fit_forest(classifier: Any, regressor: Any, data: TrainingData) -> FittedForest:
    """Fit one of these estimators with what `forest_defaults` names and its other parameters."""
    params = dict(data.params)
    n_trees, leaf_rows, strength = (params.pop(name) for name in ("n_estimators", "min_samples_leaf", "shrinkage"))
    kind = regressor if data.kind == "regression" else classifier

    def make(rows: int) -> Any:
        return kind(warm_start=True, random_state=data.seed, min_samples_leaf=rows, **params)

    leaves = (1, coarse_leaf(len(data.y))) if leaf_rows is None else (int(leaf_rows),)
    strengths = STRENGTHS if strength is None else (float(strength),)
    usual = Smoothing(leaves[0], _USUAL_SHRINKAGE if strength is None else strengths[0])
    smoothing, shortened = choose_smoothing(make, data, leaves, strengths, usual)
    estimator = without_idle_limit(make(smoothing.leaf_rows), len(data.y))
    forest = grow_forest(estimator, data, int(n_trees or 1), smoothing.strength)
    forest.cut = forest.cut or shortened
    return forest


def grow_forest(estimator: Any, data: TrainingData, n_trees: int, shrinkage: float = 0.0) -> FittedForest:
    """Fit a forest estimator with `warm_start=True` chunk by chunk until it has `n_trees` or the time is over.

    Raises `DeadlinePassed` when not even one tree fits in; the trees depend on the seed only, not on the chunks.
    """
    data.deadline.check("starting a forest")
    rows = np.ascontiguousarray(data.X.to_numpy(dtype=np.float32))
    start = time.monotonic()
    grown, cut = 0, False
    while grown < n_trees:
        pace = (time.monotonic() - start) / grown if grown else 0.0
        left = data.deadline.remaining()
        if grown and left < pace * data.threads:
            cut = True
            break
        affordable = int(left / pace) if pace else data.threads
        # At most an eighth of the time left goes into one chunk: the pace may have been misjudged.
        chunk = max(data.threads, affordable // 8)
        grown = min(n_trees, grown + chunk)
        estimator.set_params(n_estimators=grown, n_jobs=data.threads)
        with joblib.parallel_config("threading", n_jobs=data.threads):
            estimator.fit(rows, data.y, sample_weight=data.weight)
        if data.deadline.passed and grown < n_trees:
            cut = True
            break
    if not grown:
        raise DeadlinePassed("the time budget ended before the first tree was grown")
    trees = [tree.tree_ for tree in estimator.estimators_]
    smooth(trees, shrinkage)
    for tree in trees:
        _forget_statistics(tree)
    return FittedForest(trees, class_shares(data), data.threads, cut)


def _forget_statistics(tree: Any) -> None:
    """Blank what a tree has noted while it grew and needs no more: most of a forest's bytes, which then cost next to nothing to
    compress."""
    tree.value[tree.children_left >= 0] = 0.0
    for noted in (tree.impurity, tree.weighted_n_node_samples, tree.n_node_samples):
        noted[:] = 0


def class_shares(data: TrainingData) -> np.ndarray | None:
    """Weighted class frequencies (n_classes,), None for regression."""
    if data.kind == "regression":
        return None
    counts = np.bincount(data.y, weights=data.weight, minlength=data.n_classes)
    shares: np.ndarray = counts / counts.sum()
    return shares
