"""How much a single column gives the target away: exact copies, and columns that predict it almost alone.

Measured on development rows only; predictions of a column are always for rows it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from .folds import Fold
from .task import TaskKind

_COPY_RANK_CORRELATION = 0.9999
_COPY_SHARE = 0.999
_MIN_ROWS = 20
_PRIOR_ROWS = 1.0
_LARGEST = float(np.finfo(np.float32).max)


def copies_target(values: np.ndarray, y: np.ndarray, kind: TaskKind, n_classes: int) -> bool:
    """Whether a column is the target in other words: a one-to-one code of the classes, or a monotone function of the value.

    Parameters
    ----------
    values : ndarray (n_rows,) float64
        The column as numbers, NaN for missing (its own level for classes).
    y : ndarray (n_rows,)
        Class codes or values.
    """
    present = ~np.isnan(values)
    if kind == "regression":
        if present.sum() < max(_MIN_ROWS, 0.5 * len(y)):
            return False
        ranks, target_ranks = rankdata(values[present]), rankdata(y[present])
        if np.ptp(ranks) == 0 or np.ptp(target_ranks) == 0:
            return False
        return bool(abs(np.corrcoef(ranks, target_ranks)[0, 1]) >= _COPY_RANK_CORRELATION)
    levels, codes = np.unique(np.where(present, values, np.inf), return_inverse=True)
    if len(y) < _MIN_ROWS or len(levels) != n_classes:
        return False
    table = np.zeros((len(levels), n_classes))
    np.add.at(table, (codes, y.astype(np.int64)), 1)
    one_to_one = len(set(table.argmax(axis=1))) == n_classes
    return bool(one_to_one and table.max(axis=1).sum() >= _COPY_SHARE * len(y))


def single_column_skill(
    values: np.ndarray, is_category: bool, y: np.ndarray, folds: Sequence[Fold], kind: TaskKind, n_classes: int
) -> float:
    """Cross-validated skill of one column alone: 0 is a constant guess, 1 is perfect.

    Binary: `2·AUC − 1`. Multiclass: accuracy above the largest class. Regression: R².
    """
    skills = []
    for fold in folds:
        predict = _level_means if is_category else _tree
        prediction = predict(values[fold.train], y[fold.train], values[fold.valid], kind, n_classes)
        skill = _skill(y[fold.valid], prediction, kind)
        if skill is not None:
            skills.append(skill)
    return float(np.mean(skills)) if skills else 0.0


def _tree(train: np.ndarray, y: np.ndarray, valid: np.ndarray, kind: TaskKind, n_classes: int) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    # Trees take single precision, and refuse what lies beyond its range.
    train, valid = np.clip(train, -_LARGEST, _LARGEST), np.clip(valid, -_LARGEST, _LARGEST)
    if kind == "regression":
        tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0).fit(train[:, None], y)
        return np.asarray(tree.predict(valid[:, None]))[:, None]
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=0).fit(train[:, None], y)
    wide = np.zeros((len(valid), n_classes))
    wide[:, tree.classes_.astype(np.int64)] = tree.predict_proba(valid[:, None])
    return wide


def _level_means(train: np.ndarray, y: np.ndarray, valid: np.ndarray, kind: TaskKind, n_classes: int) -> np.ndarray:
    """Mean target of each level in training, shrunk a little to the overall mean; unseen levels get the overall mean."""
    outputs = y[:, None].astype(np.float64) if kind == "regression" else np.eye(n_classes)[y.astype(np.int64)]
    overall = outputs.mean(axis=0)
    levels, codes = np.unique(train, return_inverse=True, equal_nan=True)
    counts = np.bincount(codes, minlength=len(levels))[:, None]
    sums = np.stack([np.bincount(codes, weights=column, minlength=len(levels)) for column in outputs.T], axis=1)
    means: np.ndarray = (sums + _PRIOR_ROWS * overall) / (counts + _PRIOR_ROWS)
    # Missing values sort last in `levels`, which is where a search puts them too.
    place = np.minimum(np.searchsorted(levels, valid), len(levels) - 1)
    seen = (levels[place] == valid) | (np.isnan(levels[place]) & np.isnan(valid))
    return np.where(seen[:, None], means[place], overall)


def _skill(y: np.ndarray, prediction: np.ndarray, kind: TaskKind) -> float | None:
    if kind == "regression":
        spread = float(((y - y.mean()) ** 2).sum())
        return 1.0 - float(((y - prediction[:, 0]) ** 2).sum()) / spread if spread > 0 else None
    if kind == "binary":
        positives = int((y == 1).sum())
        if positives in (0, len(y)):
            return None
        rank_sum = rankdata(prediction[:, 1])[y == 1].sum()
        return float(2 * (rank_sum - positives * (positives + 1) / 2) / (positives * (len(y) - positives)) - 1)
    largest = float(np.bincount(y.astype(np.int64)).max()) / len(y)
    return (float((prediction.argmax(axis=1) == y).mean()) - largest) / (1 - largest) if largest < 1 else None
