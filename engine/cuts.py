"""The arithmetic of splits: dealing rows, strata and groups into folds, and cutting time at its own boundaries.

Everything works on codes of the rows at hand and returns positions among them; nothing here knows a dataset.
"""

from __future__ import annotations

import heapq

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]

VALIDATED_SHARE = 0.6
"""Share of the rows, the later ones, that time folds validate on."""
_FEW_GROUPS = 2_000
"""Up to so many, whole groups are dealt by their classes too."""
_DRAWS = 20


def deal_strata(strata: np.ndarray, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Fold of each row (n_rows,): folds differ by one row at most, and so does every class between folds.

    Rows are shuffled, sorted by class and dealt in turn, so a class with fewer rows than folds simply misses some folds.
    """
    shuffled = generator.permutation(len(strata))
    by_class = shuffled[np.argsort(strata[shuffled], kind="stable")]
    fold_of = np.empty(len(strata), dtype=np.int64)
    fold_of[by_class] = np.arange(len(strata)) % n_folds
    return fold_of


def deal_groups(
    groups: np.ndarray, n_folds: int, generator: np.random.Generator, strata: np.ndarray | None = None
) -> np.ndarray:
    """Fold of each row (n_rows,) with whole groups: largest first, each to the fold with the fewest rows so far.

    With strata (n_rows,) and few groups, to the fold that has least of the classes the group holds, so that folds are alike in
    their classes too; many groups are so by chance.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_folds = min(n_folds, len(sizes))
    shuffled = generator.permutation(len(sizes))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    if strata is not None and len(sizes) <= _FEW_GROUPS:
        return _deal_alike(_shares(codes, strata), largest_first, n_folds)[codes]
    loads = [(0, fold) for fold in range(n_folds)]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    for group in largest_first:
        load, fold = loads[0]
        fold_of_group[group] = fold
        heapq.heapreplace(loads, (load + int(sizes[group]), fold))
    return fold_of_group[codes]


def _shares(codes: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Share of each class (columns), and of all rows (the last one), that each group holds; a column sums to 1."""
    _, classes = np.unique(strata, return_inverse=True)
    counts = np.zeros((int(codes.max()) + 1, int(classes.max()) + 2))
    np.add.at(counts, (codes, classes), 1.0)
    counts[:, -1] = counts.sum(axis=1)
    return np.asarray(counts / counts.sum(axis=0))


def _deal_alike(shares: np.ndarray, order: np.ndarray, n_folds: int) -> np.ndarray:
    """Fold of each group, dealt in this order so that the squares of the folds' shares grow least; none stays empty."""
    loads = np.zeros((n_folds, shares.shape[1]))
    filled = np.zeros(n_folds, dtype=bool)
    fold_of = np.empty(len(shares), dtype=np.int64)
    for number, group in enumerate(order):
        cost = loads @ shares[group]
        if len(order) - number <= n_folds - int(filled.sum()):
            cost[filled] = np.inf
        fold = int(np.argmin(cost))
        loads[fold] += shares[group]
        filled[fold] = True
        fold_of[group] = fold
    return fold_of


def time_blocks(order: np.ndarray, n_folds: int, shift: float = 0.0, shared: np.ndarray | None = None) -> list[Pair]:
    """Expanding windows: (all rows before a block, the block), for consecutive blocks over the later part.

    Equal times never straddle a cut. `shift`, 0 to 1, moves the cuts earlier by that part of a block. Blocks that hold no point
    in time of their own are left out, but three points in time or more give two blocks at least; a single one gives no fold.
    With a mask of rows to be `shared` (n_rows,), blocks hold as many of these each, instead of as many rows.
    """
    by_time = np.argsort(order, kind="stable")
    ranks = order[by_time]
    starts = np.flatnonzero(np.diff(ranks)) + 1
    if len(starts) == 0:
        return []
    width = VALIDATED_SHARE / n_folds
    first = max(1.0 - VALIDATED_SHARE - width * shift, width / 2)
    wanted = np.linspace(first, 1.0, n_folds + 1)[:-1]
    wanted = wanted * len(order) if shared is None else np.quantile(np.flatnonzero(shared[by_time]), wanted)
    cuts = np.unique(_nearest(starts, wanted))
    if len(cuts) == 1 and n_folds > 1 and len(starts) > 1:
        place = min(int(np.searchsorted(starts, cuts[0])), len(starts) - 2)
        cuts = starts[place : place + 2]
    ends = np.append(cuts[1:], len(order))
    return [(by_time[:start], by_time[start:end]) for start, end in zip(cuts, ends, strict=True)]


def latest(order: np.ndarray, fraction: float) -> Pair:
    """(earlier rows in time order, the latest fraction), cut where time changes; all rows are early if it never does."""
    by_time = np.argsort(order, kind="stable")
    starts = np.flatnonzero(np.diff(order[by_time])) + 1
    if len(starts) == 0:
        return by_time, by_time[:0]
    cut = _nearest(starts, np.array([(1.0 - fraction) * len(order)]))[0]
    return by_time[:cut], by_time[cut:]


def take_strata(strata: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask (n_rows,) of a fraction of the rows, spread evenly over the classes."""
    n_rows = len(strata)
    n_out = min(max(round(fraction * n_rows), 1), n_rows - 1) if n_rows > 1 else 0
    shuffled = generator.permutation(n_rows)
    by_class = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Every n_rows/n_out-th row of the sorted order, from a random start.
    steps = np.floor((np.arange(n_out) + generator.random()) * n_rows / max(n_out, 1)).astype(np.int64)
    out = np.zeros(n_rows, dtype=bool)
    out[by_class[steps]] = True
    return out


def take_groups(
    groups: np.ndarray, fraction: float, generator: np.random.Generator, strata: np.ndarray | None = None
) -> np.ndarray:
    """Mask (n_rows,) of whole random groups with about a fraction of the rows.

    With strata (n_rows,) and few groups, the draw of several that comes nearest to this fraction of every class and of all rows.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if strata is None or len(sizes) > _FEW_GROUPS:
        return _drawn(sizes, fraction, generator)[codes]
    shares = _shares(codes, strata)
    draws = [_drawn(sizes, fraction, generator) for _ in range(_DRAWS)]
    return min(draws, key=lambda out: float(np.square(shares[out].sum(axis=0) - fraction).sum()))[codes]


def _drawn(sizes: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask (n_groups,) of random groups with at most a fraction of the rows; of the smallest where none is so small."""
    shuffled = generator.permutation(len(sizes))
    out = np.zeros(len(sizes), dtype=bool)
    room = fraction * sizes.sum()
    for group in shuffled:
        if room < 1:
            break
        if sizes[group] <= room:
            out[group] = True
            room -= sizes[group]
    if not out.any() and len(sizes) > 1:
        out[shuffled[np.argmin(sizes[shuffled])]] = True
    return out


def _nearest(starts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted row the nearest row at which time changes."""
    right = np.clip(np.searchsorted(starts, wanted), 0, len(starts) - 1)
    left = np.maximum(right - 1, 0)
    closer_left = np.abs(starts[left] - wanted) <= np.abs(starts[right] - wanted)
    return np.where(closer_left, starts[left], starts[right])
