"""How many folds of a solution are fitted side by side, and with how many threads each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .plugins import Needs
from .shape import DataShape

_COPIES_BYTES, _DENSE_BYTES_AT_ONCE = 12, 1 << 28
"""Bytes of a value in the copies that a fit holds (the table, the learner's input, the solver's own), and what these may fill
for all folds side by side."""


@dataclass(frozen=True)
class SideBySide:
    """`threads` has one number per fold; so many folds `at_once` are fitted, but for the last ones that have more threads each."""

    at_once: int
    threads: tuple[int, ...]

    @property
    def waves(self) -> int:
        """How often folds are fitted one after the other."""
        return math.ceil(len(self.threads) / self.at_once)

    @property
    def alone(self) -> int:
        """How many folds come first: the others start when the cores are free, since native threads that wait for a core spin."""
        return self.threads.count(1) if len(self.threads) > self.at_once > 1 else len(self.threads)


def side_by_side(needs: Needs, shape: DataShape, n_folds: int, threads: int) -> SideBySide:
    """Fit as many folds at once as there are threads, the last ones on more threads each; fewer at once where a learner that takes
    a column for every category and bin would fill too much memory.

    Parameters
    ----------
    shape : DataShape
        Of what the learner gets on a fold.
    """
    at_once = max(1, min(threads, n_folds))
    if needs.scaling:
        room = _DENSE_BYTES_AT_ONCE // max(1, shape.n_rows * shape.dense_columns * _COPIES_BYTES)
        if room < at_once:
            at_once = max(1, room)
            return SideBySide(at_once, (threads // at_once,) * n_folds)
    if threads > n_folds:
        return SideBySide(at_once, (threads // n_folds,) * n_folds)
    last = n_folds % threads
    return SideBySide(at_once, (*[1] * (n_folds - last), *[threads // last for _ in range(last)]))
