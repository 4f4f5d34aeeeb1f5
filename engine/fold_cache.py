"""What became of a fold on its way to a learner, kept in memory for the next solution that begins with the same blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from .adapter import Adapter
from .plugins import Transform
from .table import Table


@dataclass(frozen=True)
class Prefix:
    """A fold after some table blocks, and the fitted transforms."""

    train: Table
    valid: Table
    transforms: list[Transform]

    @property
    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Its rows."""
        return self.train.frame, self.valid.frame


@dataclass(frozen=True)
class Inputs:
    """A fold as a learner takes it after these transforms and this adapter."""

    train: pd.DataFrame
    valid: pd.DataFrame
    transforms: list[Transform]
    adapter: Adapter

    @property
    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Its rows."""
        return self.train, self.valid


Form = TypeVar("Form", Prefix, Inputs)


@dataclass
class _Held:
    """A form of as many folds as were asked for."""

    folds: dict[int, Prefix | Inputs]
    n_bytes: int = 0


class FoldCache:
    """Forms of folds by what tells them apart; where there is no room, the form least recently used goes with all its folds.
    Thread-safe.

    Folds are wanted in turns: dropped one by one, each would go just before its next turn. What has no room for all `n_folds` is
    not kept at all.
    """

    def __init__(self, limit_bytes: int, n_folds: int) -> None:
        self._limit = limit_bytes
        self._n_folds = n_folds
        self._held: OrderedDict[tuple[type, Hashable], _Held] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, form: type[Form], key: Hashable, fold: int) -> Form | None:
        """Return what is kept of a fold in this form, or None."""
        with self._lock:
            held = self._held.get((form, key))
            found = None if held is None else held.folds.get(fold)
            if not isinstance(found, form):
                return None
            self._held.move_to_end((form, key))
            return found

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()

    def put(self, key: Hashable, fold: int, made: Prefix | Inputs) -> None:
        """Keep it, unless all folds of it would be over the limit."""
        size = sum(_n_bytes(frame) for frame in made.frames)
        if size * self._n_folds > self._limit:
            return
        with self._lock:
            held = self._held.setdefault((type(made), key), _Held({}))
            self._held.move_to_end((type(made), key))
            if fold not in held.folds:
                held.n_bytes += size
            held.folds[fold] = made
            while len(self._held) > 1 and sum(one.n_bytes for one in self._held.values()) > self._limit:
                self._held.popitem(last=False)


def _n_bytes(frame: pd.DataFrame) -> int:
    """Bytes of the values; columns of numbers, of which there may be thousands, are not asked one by one."""
    dtypes = frame.dtypes.to_numpy()
    others = [number for number, dtype in enumerate(dtypes) if not isinstance(dtype, np.dtype)]
    known = sum(dtype.itemsize for dtype in dtypes if isinstance(dtype, np.dtype)) * len(frame)
    return known + (int(frame.iloc[:, others].memory_usage(index=False).sum()) if others else 0)
