"""Folds: the one split every candidate of a run is scored on, and the sealed holdout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from .plugins import Positions
from .solution import content_key

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
        Rank in time of all rows, for `time`.
    strata : ndarray (n_rows,) or None
        Class codes of all rows, for `stratified`.
    seed : int
    """

    kind: SplitKind
    reason: str
    development: np.ndarray
    holdout: np.ndarray
    groups: np.ndarray | None
    order: np.ndarray | None
    strata: np.ndarray | None
    seed: int

    @cached_property
    def key(self) -> str:
        """Content hash of the rule and the rows."""
        return content_key([self.kind, self.seed, self.development.tolist(), self.holdout.tolist()])

    def folds(self, n_folds: int, repeats: int = 1, rows: np.ndarray | None = None) -> tuple[Fold, ...]:
        """Cut the development rows (or the subset `rows` of them) into folds; deterministic in the split's seed.

        For `time` each fold validates on a later block and trains on all rows before it; validation blocks cover the later part
        only, and repeats shift the cut points.
        """
        raise NotImplementedError

    def inner_folds(self, positions: np.ndarray, n_folds: int, seed: int) -> list[Positions]:
        """Split the rows at `positions` once more by the same rule; pairs index into `positions`."""
        raise NotImplementedError

    def inner_holdout(self, positions: np.ndarray, fraction: float, seed: int) -> Positions:
        """Hold a fraction of the rows at `positions` out by the same rule (the latest for `time`); pairs index into `positions`."""
        raise NotImplementedError
