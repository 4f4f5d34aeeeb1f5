"""What an evaluation is: the plan of folds it was made on, its scores and its out-of-fold predictions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import registry
from .corrections import Factors
from .errors import Failure
from .limits import Footprint
from .solution import Solution

_REFIT_SHARE = 0.5
_REFIT_SHARE_OF: dict[str, float] = {"forest": 0.8, "linear": 0.8, "network": 0.7, "svm": 1.0}
"""Seconds of a fit with all threads per second of one on (mostly) one thread, which also has rounds beyond the best. Seen on two
threads, 275 members of 47 runs: boosters 0.4 from 5,000 rows on, 0.6 on 1,100; linear models 0.1 to 1.2, four of five below 0.7;
forests 0.4 to 0.9, most near 0.5. Full-depth trees grow faster than their rows, and a forest takes about as long to save as a third
of its fit; support vector machines and networks use one thread, and networks have hardly any rounds beyond the best."""
_PROPORTIONAL_GROWTH, _GROWTH_BEYOND = 2.0, 0.75
"""Up to this growth of the rows a fit takes as many times as long; beyond, its time grows by this power: what boosters do for
each leaf and each column weighs less (seen: half of a proportional estimate at 4 to 12 times the rows)."""
_MORE_ROUNDS, _MORE_ROUNDS_POWER, _MORE_ROUNDS_AT_MOST = 1.1, 0.4, 3.0
"""Boosting wants more rounds on more rows: by this power of the growth. On three to four times the rows the folds' own number was
too small on four tables of five (best at 1.3 to 2.5 times as many: log loss of diabetes130 −0.3 %, RMSE of california −0.8 %;
diamonds wants no more), on sixteen times walmart_sales gained 7 % by twice as many. Other learners get a tenth more."""


@dataclass(frozen=True)
class FoldPlan:
    """Which folds a score is the mean of. All candidates that are compared share one plan.

    `max_rows` caps the development rows taken part (a seeded subsample); None takes all.
    """

    n_folds: int
    repeats: int = 1
    max_rows: int | None = None

    def to_json(self) -> dict[str, int | None]:
        """Return a JSON-ready mapping."""
        return {"n_folds": self.n_folds, "repeats": self.repeats, "max_rows": self.max_rows}


@dataclass(frozen=True)
class Evaluation:
    """A solution scored on the folds of a plan.

    Attributes
    ----------
    scores : tuple of float
        One per fold, in the metric's own direction; empty after a failure.
    oof : ndarray (n_rows, n_outputs) float32 or None
        Out-of-fold predictions of the first repeat; NaN for rows no fold validated.
    seconds : float
        Wall time of the evaluation when it was computed.
    fold_seconds : tuple of float
        Seconds of learner and block fitting per fold, on `threads_per_fold` threads.
    rounds : tuple
        Rounds of an iterative learner per fold; None for others.
    cut : bool
        The deadline stopped at least one fit early, so the score depends on the machine's speed.
    cached : bool
        It was not computed now.
    growth : float
        Rows of a fit on the whole dataset (of a sample of it where the learner needs no more) per row of a training fold.
    footprint : Footprint or None
        What it costs in use; measured only where the run has limits.
    factors : tuple of float
        Correct predictions for the metric, see `corrections`; those out of fold have been.
    """

    solution: Solution
    scores: tuple[float, ...]
    oof: np.ndarray | None
    seconds: float
    fold_seconds: tuple[float, ...] = ()
    rounds: tuple[int | None, ...] = ()
    failure: Failure | None = None
    cut: bool = False
    cached: bool = False
    growth: float = 1.0
    footprint: Footprint | None = None
    factors: Factors = ()

    @cached_property
    def oof_digest(self) -> int:
        """Tells these out-of-fold predictions from others of the same solution, as of a fit that was cut; 0 for none."""
        return 0 if self.oof is None else zlib.crc32(self.oof.tobytes())

    @property
    def key(self) -> str:
        """The solution's key."""
        return self.solution.key

    @property
    def mean(self) -> float:
        """Mean over folds; NaN after a failure, which no comparison can win."""
        return float(np.mean(self.scores)) if self.scores else math.nan

    @property
    def std(self) -> float:
        """Standard deviation over folds (n − 1)."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0

    @property
    def fold_refit_seconds(self) -> float:
        """Expected seconds of one fit on the rows of a training fold with all threads; the folds had mostly one."""
        share = _REFIT_SHARE_OF.get(self._family, _REFIT_SHARE)
        return float(share * np.mean(self.fold_seconds)) if self.fold_seconds else 0.0

    @property
    def refit_seconds(self) -> float:
        """Expected seconds of one fit on all rows with all threads, saved."""
        if self._family == "forest":
            return self.fold_refit_seconds * self.growth
        beyond = max(1.0, self.growth / _PROPORTIONAL_GROWTH) ** _GROWTH_BEYOND
        times = min(self.growth, _PROPORTIONAL_GROWTH) * beyond
        return float(self.fold_refit_seconds * times * self._more_rounds / _MORE_ROUNDS)

    @property
    def _family(self) -> str:
        return registry.model(self.solution.model.component).family

    @property
    def refit_rounds(self) -> int | None:
        """Rounds for a fit on all rows: the folds' mean, more for the larger data."""
        known = [count for count in self.rounds if count is not None]
        return max(1, round(self._more_rounds * float(np.mean(known)))) if known else None

    @property
    def _more_rounds(self) -> float:
        """Rounds of a fit on all rows per round on a fold."""
        if self._family != "boosting":
            return _MORE_ROUNDS
        return float(min(max(1.0, self.growth) ** _MORE_ROUNDS_POWER, _MORE_ROUNDS_AT_MOST))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping without the predictions."""
        return {
            "key": self.key,
            "solution": self.solution.to_json(),
            "scores": list(self.scores),
            "mean": None if math.isnan(self.mean) else self.mean,
            "std": self.std,
            "seconds": self.seconds,
            "fold_seconds": list(self.fold_seconds),
            "rounds": list(self.rounds),
            "failure": {"kind": self.failure.kind, "message": self.failure.message} if self.failure else None,
            "cut": self.cut,
            "cached": self.cached,
            "growth": self.growth,
            "footprint": self.footprint.to_json() if self.footprint else None,
            "factors": list(self.factors),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any], oof: np.ndarray | None = None) -> Evaluation:
        """Rebuild an evaluation; it counts as cached."""
        failure = Failure(**body["failure"]) if body.get("failure") else None
        footprint = Footprint(**body["footprint"]) if body.get("footprint") else None
        return cls(
            Solution.from_json(body["solution"]), tuple(body["scores"]), oof, body["seconds"],
            tuple(body["fold_seconds"]), tuple(body["rounds"]), failure, body["cut"], cached=True, growth=body["growth"],
            footprint=footprint, factors=tuple(body.get("factors", ())),
        )  # fmt: skip


def rough_seconds(seconds: float) -> float:
    """Seconds to the nearest power of two, at least a quarter: decisions by cost must not turn with the noise of a clock."""
    return float(2.0 ** round(math.log2(max(seconds, 0.25))))


def stack_of(members: Sequence[Evaluation], rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Out-of-fold predictions of these rows (all by default), (n_members, n_rows, n_outputs) float64."""
    return np.stack([member.oof[rows] for member in members if member.oof is not None]).astype(np.float64)


def fit_seconds(members: Sequence[Evaluation], final_fits: float) -> float:
    """Seconds `validate` needs for its fits of these members: all of them so many times on all rows, and one of them once more on a
    fold, to be examined."""
    final_s = final_fits * sum(member.refit_seconds for member in members)
    return final_s + max((member.fold_refit_seconds for member in members), default=0.0)
