"""Folds: the one split every candidate of a run is scored on, and the sealed holdout.

Which rule a dataset gets is decided in `split`; how a rule cuts rows is in `cuts`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .cuts import deal_groups, deal_strata, latest, take_groups, take_strata, time_blocks
from .plugins import Positions

_ARRAYS = ("development", "holdout", "groups", "order", "strata")

_FEWEST_PARTS = 10
_SAMPLE_AT_MOST = 1.25
"""Groups or points in time that a sample has at least, where there are so many, and the most it may have of the rows it was to."""

SplitKind = Literal["stratified", "plain", "group", "time"]


@dataclass(frozen=True)
class Fold:
    """One split of the rows that are not sealed: integer positions into the dataset."""

    train: np.ndarray
    valid: np.ndarray
    repeat: int = 0


@dataclass(frozen=True)
class Split:
    """How a dataset is divided: the rule, its reason, and the sealed holdout.

    Attributes
    ----------
    kind : SplitKind
    reason : str
        Why this rule, in words for a person.
    development : ndarray of int64
        Positions every search may use. For `time` they are in time order.
    holdout : ndarray of int64
        Sealed positions, read once by `validate`; empty without a holdout.
    groups : ndarray (n_rows,) or None
        Group codes of all rows, for `group`.
    order : ndarray (n_rows,) or None
        Rank in time of all rows, for `time`; equal times have equal ranks.
    strata : ndarray (n_rows,) or None
        Class codes of all rows, for classification under any rule.
    seed : int
    column : str or None
        The column the rule follows (time or group); None for row order and for the other rules.
    """

    kind: SplitKind
    reason: str
    development: np.ndarray
    holdout: np.ndarray
    groups: np.ndarray | None
    order: np.ndarray | None
    strata: np.ndarray | None
    seed: int
    column: str | None = None

    @cached_property
    def key(self) -> str:
        """Content hash of the rule and the rows, 16 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.kind, self.seed)).encode())
        for part in (self.development, self.holdout, self.groups, self.order, self.strata):
            values = np.asarray([] if part is None else part, dtype=np.int64)
            digest.update(repr(len(values)).encode() + values.tobytes())
        return digest.hexdigest()[:16]

    def folds(self, n_folds: int, repeats: int = 1, rows: np.ndarray | None = None) -> tuple[Fold, ...]:
        """Cut the development rows (or the subset `rows` of them) into folds; deterministic in the split's seed.

        For `time` each fold validates on a later block and trains on all rows before it; validation blocks cover the later part
        only, and repeats shift the cut points. Otherwise every row is validated once per repeat. There are fewer folds where
        there are fewer rows, groups or points in time than asked for; in a binary task also where the rarer class has fewer
        rows, and for `group` and `time` folds with one class only are left out while two others remain; blocks of time share the
        rows of the rarer class where else fewer than two would hold both.
        Neither part of a fold is ever empty.
        """
        positions = self.development if rows is None else np.asarray(rows, dtype=np.int64)
        if self.kind == "stratified" and self._binary and self.strata is not None:
            rarer = int(np.bincount(self.strata[positions], minlength=2).min())
            n_folds = min(n_folds, rarer) if rarer >= 2 else n_folds
        return tuple(
            Fold(positions[train], positions[valid], repeat)
            for repeat in range(repeats)
            for train, valid in self._pairs(positions, n_folds, repeat, repeat / repeats)
        )

    def inner_folds(self, positions: np.ndarray, n_folds: int, seed: int) -> list[Positions]:
        """Split the rows at `positions` once more by the same rule; pairs index into `positions`.

        For `time` the earliest rows are in no held-out part. Neither part of a pair is ever empty.
        """
        return self._cut(np.asarray(positions, dtype=np.int64), n_folds, seed)

    def inner_holdout(self, positions: np.ndarray, fraction: float, seed: int) -> Positions:
        """Hold a fraction of the rows at `positions` out by the same rule (the latest for `time`); pairs index into `positions`.

        Neither side is empty where there are two rows (groups, points in time) or more.
        """
        return hold_out(
            self.kind, np.asarray(positions, dtype=np.int64), fraction, seed, self.groups, self.order, self.strata
        )

    def subsample(self, n_rows: int) -> np.ndarray:
        """Positions of about `n_rows` development rows by the split's rule (see `sample`)."""
        return self.sample(self.development, n_rows / len(self.development))

    def sample(self, positions: np.ndarray, fraction: float) -> np.ndarray:
        """About this fraction of the positions, drawn by the split's rule: the newest for `time`, whole groups for `group`.

        Where these are few and large, some rows of each instead: of all groups, or of the newest points in time. A sample can be
        cut into as many folds as its rows could, up to ten.
        """
        if fraction >= 1.0:
            return positions
        drawn = positions[self.inner_holdout(positions, fraction, self.seed)[1]]
        codes = {"group": self.groups, "time": self.order}.get(self.kind)
        if codes is None or (
            len(np.unique(codes[drawn])) >= _FEWEST_PARTS and len(drawn) <= _SAMPLE_AT_MOST * fraction * len(positions)
        ):
            return drawn
        wide = positions
        if self.kind == "time":
            points, counts = np.unique(codes[positions], return_counts=True)
            enough = int(np.searchsorted(np.cumsum(counts[::-1]), fraction * len(positions))) + 1
            wide = positions[codes[positions] >= points[-min(max(_FEWEST_PARTS, enough), len(points))]]
        share = min(1.0, fraction * len(positions) / len(wide))
        thinned = wide[take_strata(codes[wide], share, np.random.default_rng(self.seed))] if share < 1.0 else wide
        return thinned[np.argsort(codes[thinned], kind="stable")] if self.kind == "time" else thinned

    def save(self, path: Path) -> None:
        """Write the split as plain arrays; `load` gives it back with the same key."""
        arrays = {
            name: values for name in _ARRAYS if (values := getattr(self, name)) is not None
        }  # fmt: skip
        about = json.dumps({"kind": self.kind, "reason": self.reason, "seed": self.seed, "column": self.column})
        with path.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, about=np.asarray(about), **arrays)

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a saved split."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored.get(name) for name in _ARRAYS}
            fields: dict[str, Any] = {**json.loads(str(stored["about"])), **arrays}
            return cls(**fields)

    @cached_property
    def _binary(self) -> bool:
        return self.strata is not None and len(np.unique(self.strata)) == 2

    @cached_property
    def tells_classes_apart(self) -> bool:
        """Whether two folds or more of the development rows hold both classes on either side; True where there are no two."""
        if not self._binary or self.strata is None:
            return True
        return all(np.ptp(self.strata[part]) > 0 for fold in self.folds(2) for part in (fold.train, fold.valid))

    def _pairs(self, positions: np.ndarray, n_folds: int, repeat: int, shift: float) -> list[Positions]:
        """Cut, and leave out pairs of a binary task that lack a class on either side, unless fewer than two would remain."""
        pairs = self._cut(positions, n_folds, self.seed, shift, repeat)
        if self.kind not in ("group", "time") or not self._binary or self.strata is None:
            return pairs
        codes = self.strata[positions]
        both = _with_both(pairs, codes)
        if len(both) < 2 and self.order is not None and np.ptp(codes) > 0:
            rarer = codes == np.bincount(codes, minlength=2).argmin()
            # A repeat whose shifted cuts do not do is cut as the first one.
            for cut, fewer in product((shift, 0.0), range(n_folds, 1, -1)):
                both = _with_both(time_blocks(self.order[positions], fewer, cut, rarer), codes)
                if len(both) >= 2:
                    break
        return both if len(both) >= 2 else pairs

    def _cut(
        self, positions: np.ndarray, n_folds: int, seed: int, shift: float = 0.0, repeat: int = 0
    ) -> list[Positions]:
        if self.kind == "time":
            assert self.order is not None
            return time_blocks(self.order[positions], n_folds, shift)
        generator = np.random.default_rng([seed, repeat])
        n_folds = min(n_folds, len(positions))
        if self.kind == "group":
            assert self.groups is not None
            fold_of = deal_groups(
                self.groups[positions], n_folds, generator, None if self.strata is None else self.strata[positions]
            )
        else:
            strata = np.zeros(len(positions), dtype=np.int64) if self.strata is None else self.strata[positions]
            fold_of = deal_strata(strata, n_folds, generator)
        n_dealt = int(fold_of.max(initial=-1)) + 1
        if n_dealt < 2:
            return []
        return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_dealt)]


def _with_both(pairs: list[Positions], codes: np.ndarray) -> list[Positions]:
    """Pairs that hold both classes on either side."""
    return [pair for pair in pairs if all(np.ptp(codes[part]) > 0 for part in pair)]


def hold_out(
    kind: SplitKind,
    positions: np.ndarray,
    fraction: float,
    seed: int,
    groups: np.ndarray | None,
    order: np.ndarray | None,
    strata: np.ndarray | None,
) -> Positions:
    """Hold a fraction of `positions` out by a rule; pairs index into `positions`, the kept part of `time` in time order."""
    if kind == "time":
        assert order is not None
        return latest(order[positions], fraction)
    generator = np.random.default_rng(seed)
    if kind == "group":
        assert groups is not None
        out = take_groups(groups[positions], fraction, generator, None if strata is None else strata[positions])
    else:
        codes = np.zeros(len(positions), dtype=np.int64) if strata is None else strata[positions]
        out = take_strata(codes, fraction, generator)
    return np.flatnonzero(~out), np.flatnonzero(out)
