"""The one clock. Every stage gets a `Deadline`, stops in time and returns the best so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from .errors import DeadlinePassed


class Deadline:
    """A time budget in seconds, counted from its creation.

    A result taken from the cache is charged what it cost when it was computed (`charge`), so that a repeated or resumed
    run takes the same decisions as the first one instead of drifting with the speed of the cache.

    Parameters
    ----------
    budget_s : float
        Seconds from now; must be positive.
    parent : Deadline, optional
        A sub-deadline never outlives its parent, and its charges count there too.
    """

    def __init__(
        self, budget_s: float, parent: Deadline | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget_s = budget_s
        self._clock: Callable[[], float] = parent._clock if parent else clock
        self._parent = parent
        self._start = self._clock()
        self._charged = 0.0

    def elapsed(self) -> float:
        """Seconds spent, charges included."""
        return self._clock() - self._start + self._charged

    def remaining(self) -> float:
        """Seconds left, never negative."""
        own = max(0.0, self.budget_s - self.elapsed())
        return min(own, self._parent.remaining()) if self._parent else own

    @property
    def passed(self) -> bool:
        """True once nothing is left."""
        return self.remaining() <= 0.0

    def charge(self, seconds: float) -> None:
        """Count work that was done earlier (a cache hit) against this budget."""
        self._charged += seconds
        if self._parent:
            self._parent.charge(seconds)

    def share(self, fraction: float) -> Deadline:
        """Return a sub-deadline over this fraction of what is left now."""
        return Deadline(self.remaining() * fraction, parent=self)

    def at_most(self, seconds: float) -> Deadline:
        """Return a sub-deadline of at most so many seconds."""
        return Deadline(min(seconds, self.remaining()), parent=self)

    def check(self, doing: str) -> None:
        """Raise `DeadlinePassed` if nothing is left."""
        if self.passed:
            raise DeadlinePassed(f"the time budget of {self.budget_s:.0f} s ended while {doing}")
