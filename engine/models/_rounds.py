"""When an iterative learner stops: enough rounds, no more gain on the held-out rows, or no more time."""

from __future__ import annotations

import math
import time

from ..deadline import Deadline
from ..errors import DeadlinePassed


class Stopper:
    """Watches rounds, remembers the best one and says when to stop.

    Patience grows with the best round so far (`patience + growth · best round`): a flat stretch late in a long fit says less than
    one at its start.

    Parameters
    ----------
    deadline : Deadline
        Rounds end while one more still fits in.
    patience : int
        Rounds without gain that are allowed from the start.
    """

    def __init__(self, deadline: Deadline, patience: int, growth: float = 0.25) -> None:
        self.best_round = 0
        """Number of rounds (counted from 1) with the lowest loss; 0 before the first loss."""
        self.done = 0
        """Rounds finished."""
        self.cut = False
        """True once the deadline was the reason to stop."""
        self._deadline = deadline
        self._patience = patience
        self._growth = growth
        self._best_loss = math.inf
        self._start = time.monotonic()

    @property
    def rounds(self) -> int:
        """Rounds to keep: up to the best loss, or all where no loss was given."""
        return self.best_round or self.done

    def stop_after(self, rounds: int, loss: float | None = None) -> bool:
        """Record that `rounds` rounds are done, with the loss on held-out rows if any, and say whether to stop."""
        self.done = rounds
        if loss is not None:
            if loss < self._best_loss:
                self._best_loss, self.best_round = loss, rounds
            if rounds - self.best_round >= self._patience + self._growth * self.best_round:
                return True
        elapsed = time.monotonic() - self._start
        if self._deadline.remaining() <= elapsed / rounds:
            self.cut = True
        return self.cut

    def reachable(self, share: float) -> int:
        """Rounds that can be done in all, at the pace so far, in this share of the time left."""
        elapsed = time.monotonic() - self._start
        return self.done + int(share * self._deadline.remaining() * self.done / elapsed)

    def require_rounds(self, learner: str) -> None:
        """Raise `DeadlinePassed` where not one round was finished."""
        if not self.done:
            raise DeadlinePassed(f"the time budget ended before {learner} had finished its first round")


def planned_rounds(fixed: int | None, at_most: int, learning_rate: float, has_held_out_rows: bool) -> int:
    """Rounds a booster should run: the fixed number; else the limit, which held-out rows will undercut.

    With neither, `10 / learning_rate` rounds: enough to fit, too few to overfit badly.
    """
    if fixed is not None:
        return max(1, fixed)
    return at_most if has_held_out_rows else max(1, min(at_most, round(10 / learning_rate)))
