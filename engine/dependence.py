"""Do rows depend on each other? Drift over time, target in row order, likeness within an id: statistics against permutations.

No model is fitted; each statistic is compared with what it gives when the rows are shuffled, and must also be large
enough to matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .dataset import Dataset
from .roles import Role
from .task import TaskKind

_SHUFFLES = 99
_SAMPLE = 5_000
_MAX_SIGNALS = 40
_TOP_CLASSES = 5
_TIME_BLOCKS = 20
_LONG_RUN = 10
"""Rows of equal value, one after the other, on average: a column of so many is what a file may be sorted by."""


@dataclass(frozen=True)
class Signals:
    """Standardised columns that stand for target and features.

    Attributes
    ----------
    target : ndarray (n_rows, n_target)
        Ranks of a regression target, or indicators of the most frequent classes.
    features : ndarray (n_rows, n_features)
        Ranks of numbers and indicators of the most frequent level, mean 0 and variance 1.
    names : tuple of str
        Names of the features.
    """

    target: np.ndarray
    features: np.ndarray
    names: tuple[str, ...]


def target_signals(y: np.ndarray, kind: TaskKind) -> np.ndarray:
    """Return standardised columns (n_rows, n_target) that stand for the target."""
    if kind == "regression":
        return _standardised(_ranks(y)[:, None])
    top = np.argsort(-np.bincount(y.astype(np.int64)), kind="stable")[:_TOP_CLASSES]
    return _standardised((y[:, None] == top[None, :]).astype(np.float64))


def signals(dataset: Dataset, kind: TaskKind, rows: np.ndarray, without: str) -> Signals:
    """Return the signals of some rows; ids, text, dates and the column under study are left out."""
    columns: list[np.ndarray] = []
    names: list[str] = []
    for name in dataset.frame.columns:
        role = dataset.feature_roles[name]
        if name == without or role not in (Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL):
            continue
        values = dataset.frame[name].iloc[rows]
        if role == Role.CATEGORICAL:
            codes = values.cat.codes.to_numpy()
            column = (codes == np.bincount(codes + 1).argmax() - 1).astype(np.float64)
            if not 0.02 <= column.mean() <= 0.98:
                continue
        else:
            column = _ranks(values.to_numpy(dtype=np.float64))
        if column.std() > 0:
            columns.append(column)
            names.append(name)
        if len(names) == _MAX_SIGNALS:
            break
    features = np.column_stack(columns) if columns else np.zeros((len(rows), 0))
    return Signals(target_signals(dataset.y[rows], kind), _standardised(features), tuple(names))


@dataclass(frozen=True)
class Drift:
    """How much of the variance lies between time blocks, beyond what shuffled rows show.

    Attributes
    ----------
    target : float
        Share for the target, 0 to 1; 0.0 where it is within chance.
    features : dict of name to float
        The same for each feature whose drift is beyond chance (largest over all features taken into account).
    n_features : int
        Features looked at.
    """

    target: float
    features: dict[str, float]
    n_features: int

    @property
    def matters(self) -> bool:
        """True when the target drifts visibly, or many of the features do."""
        moving = sum(share >= 0.02 for share in self.features.values())
        return self.target >= 0.01 or (moving >= 2 and moving >= 0.2 * self.n_features)


def drift_over(dataset: Dataset, kind: TaskKind, column: str, seed: int) -> Drift:
    """Measure drift of target and features over a date column."""
    generator = np.random.default_rng(seed)
    times = dataset.frame[column]
    known = np.flatnonzero(times.notna().to_numpy())
    rows = _sample(known, generator)
    ranks = times.iloc[rows].rank(method="average").to_numpy()
    blocks = np.minimum((ranks / (len(rows) + 1) * _TIME_BLOCKS).astype(np.int64), _TIME_BLOCKS - 1)
    found = signals(dataset, kind, rows, column)
    both = np.hstack([found.target, found.features])
    n_target = found.target.shape[1]
    observed = _between(both, blocks)
    shuffled = np.array([_between(both, generator.permutation(blocks)) for _ in range(_SHUFFLES)])
    excess = observed - shuffled.mean(axis=0)
    target_real = observed[:n_target].max() > shuffled[:, :n_target].max()
    feature_bar = shuffled[:, n_target:].max() if found.names else 0.0
    features = {
        name: float(share)
        for name, share, value in zip(found.names, excess[n_target:], observed[n_target:], strict=True)
        if value > feature_bar
    }
    target = float(excess[:n_target].max()) if target_real else 0.0
    return Drift(target, features, len(found.names))


def order_dependence(y: np.ndarray, kind: TaskKind, seed: int, places: Iterable[np.ndarray] = ()) -> float:
    """Correlation of the target with that of the row before it; 0.0 where shuffled rows show as much.

    Parameters
    ----------
    places : iterable of ndarray (n_rows,)
        Codes of columns the file may be sorted by: where the same code fills long runs of rows, that neighbours share what such a
        run has in common says nothing about time, and is taken off.
    """
    values = target_signals(_window(y), kind)
    for codes in places:
        runs = np.append(0, np.cumsum(np.diff(_window(codes)) != 0))
        counts = np.bincount(runs)
        if len(runs) >= _LONG_RUN * len(counts):
            means = np.array([np.bincount(runs, column) for column in values.T]) / counts
            values = _standardised(values - means.T[runs])
    observed = _lagged(values)
    generator = np.random.default_rng(seed)
    shuffled = max(_lagged(generator.permutation(values)) for _ in range(_SHUFFLES))
    return observed if observed > shuffled else 0.0


def sorted_by_target(y: np.ndarray, kind: TaskKind) -> bool:
    """Whether the file is merely sorted by the target: classes in blocks, or values that move one way almost always."""
    steps = np.diff(y)
    moving = steps[steps != 0]
    if len(moving) == 0:
        return True
    if kind != "regression":
        return len(moving) + 1 <= 2 * len(np.unique(y))
    return bool(max((moving > 0).mean(), (moving < 0).mean()) >= 0.9)


def repeats_regularly(values: np.ndarray) -> int | None:
    """Period in rows of a column that runs through the same cycle again and again (hours of a day), or None."""
    values = _window(values)[:_SAMPLE]
    known = np.isfinite(values)
    if len(values) < 50 or known.mean() < 0.95:
        return None
    lowest = np.flatnonzero(values == values[known].min())
    gaps = np.diff(lowest)
    if len(gaps) < 5:
        return None
    period = int(np.bincount(gaps).argmax())
    if period < 3:
        return None
    _, counts = np.unique(values[known], return_counts=True)
    by_chance = float(((counts / counts.sum()) ** 2).sum())
    again = float((values[period:] == values[:-period]).mean())
    return period if again >= 0.95 and by_chance <= 0.5 else None


@dataclass(frozen=True)
class Likeness:
    """Correlation between two rows of one id, for the target and for the feature most alike; 0.0 within chance."""

    target: float
    feature: float
    feature_name: str

    @property
    def matters(self) -> bool:
        """True when rows of one id tell about each other."""
        return self.target >= 0.05 or self.feature >= 0.2


def likeness_within(dataset: Dataset, kind: TaskKind, column: str, groups: np.ndarray, seed: int) -> Likeness:
    """Compare two random rows of each id that repeats with pairs of different ids."""
    generator = np.random.default_rng(seed)
    shuffled_rows = generator.permutation(np.flatnonzero(groups >= 0))
    by_group = shuffled_rows[np.argsort(groups[shuffled_rows], kind="stable")]
    codes = groups[by_group]
    first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    first = first[(first + 1 < len(codes))]
    first = _sample(first[codes[first + 1] == codes[first]], generator)
    if len(first) < 10:
        return Likeness(0.0, 0.0, "")
    pairs = np.concatenate([by_group[first], by_group[first + 1]])
    found = signals(dataset, kind, pairs, column)
    both = np.hstack([found.target, found.features])
    left, right = both[: len(first)], both[len(first) :]
    n_target = found.target.shape[1]
    observed = (left * right).mean(axis=0)
    chance = np.array([(left * right[generator.permutation(len(right))]).mean(axis=0) for _ in range(_SHUFFLES)])
    target = float(observed[:n_target].max()) if observed[:n_target].max() > chance[:, :n_target].max() else 0.0
    if not found.names:
        return Likeness(target, 0.0, "")
    best = int(observed[n_target:].argmax())
    value = float(observed[n_target + best])
    return Likeness(target, value if value > chance[:, n_target:].max() else 0.0, found.names[best])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks with missing values at the mean rank."""
    ranks = pd.Series(values).rank(method="average").to_numpy()
    return np.where(np.isnan(ranks), np.nanmean(ranks) if not np.isnan(ranks).all() else 0.0, ranks)


def _standardised(columns: np.ndarray) -> np.ndarray:
    spread = columns.std(axis=0, keepdims=True)
    scaled: np.ndarray = (columns - columns.mean(axis=0, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _between(columns: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Share of the variance of each standardised column (n_columns,) that lies between the blocks."""
    member = np.zeros((_TIME_BLOCKS, len(blocks)))
    member[blocks, np.arange(len(blocks))] = 1.0
    counts = np.maximum(member.sum(axis=1, keepdims=True), 1.0)
    share: np.ndarray = ((member @ columns) ** 2 / counts).sum(axis=0) / len(blocks)
    return share


def _lagged(values: np.ndarray) -> float:
    return float((values[1:] * values[:-1]).mean(axis=0).max())


def _window(values: np.ndarray, size: int = 20_000) -> np.ndarray:
    """Return the consecutive rows in the middle, at most `size`."""
    start = max(0, (len(values) - size) // 2)
    window: np.ndarray = values[start : start + size]
    return window


def _sample(positions: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if len(positions) <= _SAMPLE:
        return positions
    return np.sort(generator.choice(positions, _SAMPLE, replace=False))
