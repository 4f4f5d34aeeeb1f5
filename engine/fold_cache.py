"""What became of a fold on its way to a learner, kept in memory for the next solution that begins with the same blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

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


class FoldCache:
    """Forms of folds by what tells them apart, least recently used dropped first. Thread-safe.

    A form of one fold is not kept where that of all `n_folds` has no place: they are wanted in turns, so each would be dropped
    before its next turn, and with it what has a place.
    """

    def __init__(self, limit_bytes: int, n_folds: int) -> None:
        self._limit = limit_bytes
        self._n_folds = n_folds
        self._held: OrderedDict[tuple[type, Hashable], tuple[Prefix | Inputs, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, form: type[Form], key: Hashable) -> Form | None:
        """Return what is kept in this form, or None."""
        with self._lock:
            found = self._held.get((form, key))
            if found is None or not isinstance(found[0], form):
                return None
            self._held.move_to_end((form, key))
            return found[0]

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def put(self, key: Hashable, made: Prefix | Inputs) -> None:
        """Keep it, unless all folds of it would be over the limit."""
        size = sum(int(frame.memory_usage(index=False).sum()) for frame in made.frames)
        if size * self._n_folds > self._limit:
            return
        with self._lock:
            _, known = self._held.pop((type(made), key), (None, 0))
            self._held[type(made), key] = (made, size)
            self._bytes += size - known
            while self._bytes > self._limit:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed
