"""How much each column tells about the target: mutual information of binned values, one measure for numbers and categories.

Plug-in estimate with the Miller–Madow correction, so that a column with many levels does not look informative by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..plugins import FitContext
from ..roles import Role
from ..table import Table
from .numbers import matrix

_BINS = 16
_TARGET_BINS = 10
_MAX_ROWS = 20_000


def mutual_information(table: Table, names: Sequence[str], y: np.ndarray, context: FitContext) -> np.ndarray:
    """Mutual information (n_names,) in nats of numeric, boolean or categorical columns with the target, never below 0.

    Looks at 20,000 random training rows at most.
    """
    rows = some_rows(len(y), _MAX_ROWS, context.seed)
    sample, target = table.take(rows), y[rows]
    if context.task.kind == "regression":
        target = quantile_bins(target, _TARGET_BINS)
    target = np.unique(target, return_inverse=True)[1].reshape(-1)
    return np.array([_information(binned(sample, name), target) for name in names], dtype=np.float64)


def strongest(table: Table, names: Sequence[str], y: np.ndarray, context: FitContext, n_best: int) -> tuple[str, ...]:
    """The columns that tell most about the target, best first; ties keep the table's order."""
    order = np.argsort(-mutual_information(table, names, y, context), kind="stable")
    return tuple(names[i] for i in order[:n_best])


def some_rows(n_rows: int, n_most: int, seed: int) -> np.ndarray:
    """Sorted positions of a random subset of the rows, or all."""
    if n_rows <= n_most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, n_most, replace=False))


def binned(table: Table, name: str) -> np.ndarray:
    """Codes (n_rows,) from 0: quantile bins of numbers or levels of a category, missing as a bin of its own."""
    if table.roles[name] is Role.CATEGORICAL:
        codes = table.frame[name].cat.codes.to_numpy().astype(np.int64)
    else:
        codes = quantile_bins(matrix(table, [name])[:, 0], _BINS)
    return np.unique(codes, return_inverse=True)[1].reshape(-1)


def quantile_bins(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin numbers (n_rows,) by quantiles, −1 for NaN."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.full(len(values), -1)
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))


def _information(codes: np.ndarray, target: np.ndarray) -> float:
    n_rows, n_levels, n_targets = len(codes), int(codes.max(initial=-1)) + 1, int(target.max(initial=-1)) + 1
    if n_rows < 2 or n_levels < 2 or n_targets < 2:
        return 0.0
    joint = np.bincount(codes * n_targets + target, minlength=n_levels * n_targets)
    shares = joint.reshape(n_levels, n_targets) / n_rows
    product = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0, keepdims=True)
    seen = shares > 0.0
    plug_in = float((shares[seen] * np.log(shares[seen] / product[seen])).sum())
    return max(0.0, plug_in - (n_levels - 1) * (n_targets - 1) / (2.0 * n_rows))
