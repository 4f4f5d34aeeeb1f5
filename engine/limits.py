"""What a model may cost in use: milliseconds for one row and megabytes on disk.

Measured where solutions are fitted for their scores, so that a search under limits never chooses what it may not use.
"""

from __future__ import annotations

import math
import pickle
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .pipeline import FittedSolution
from .table import Table

_TRIES = 5
_SAMPLE_BYTES = 4_000_000
_MB = 1e6
_READING_MS = 1.5
"""What typing a row and writing its prediction adds to the members' own time."""
_OF_ONE_SIZE = frozenset({"dummy", "linear", "network", "bayes"})
_BOOSTING_GROWS_AT_MOST = 3.0
_MARGIN = 1.2
"""The final model sees more rows than a fold's, and a machine in use is not as quiet as one that measures."""


@dataclass(frozen=True)
class Footprint:
    """Milliseconds for one warm row, and megabytes once saved (compressed as `final_model.save` does), of one fitted solution."""

    latency_ms: float
    size_mb: float

    def grown(self, factor: float) -> Footprint:
        """The footprint of a fit so many times as large."""
        return replace(self, size_mb=self.size_mb * factor)

    def to_json(self) -> dict[str, float]:
        """Return a JSON-ready mapping; `Footprint(**body)` is the inverse."""
        return asdict(self)


def size_growth(family: str, rows: float) -> float:
    """How many times as large a saved model is, fitted on so many times the `rows`: coefficients are as many as before, and
    boosting has a few more rounds of trees whose leaves are bounded; what keeps its rows, and full-depth trees, grows with them."""
    if family in _OF_ONE_SIZE:
        return 1.0
    return min(rows, _BOOSTING_GROWS_AT_MOST) if family == "boosting" else rows


@dataclass(frozen=True)
class Limits:
    """Upper bounds for the final model; None: no bound."""

    latency_ms: float | None = None
    size_mb: float | None = None

    def __bool__(self) -> bool:
        return self.latency_ms is not None or self.size_mb is not None

    def excess(self, footprints: Iterable[Footprint | None]) -> float:
        """How far these solutions together exceed the limits, as a factor: at most 1 where they keep to them, 0 without limits.

        An unknown footprint counts as endless where there are limits.
        """
        if not self:
            return 0.0
        known = list(footprints)
        worst = 0.0
        if self.latency_ms is not None:
            latency_ms = sum(math.inf if one is None else one.latency_ms for one in known)
            worst = (_READING_MS + latency_ms * _MARGIN) / self.latency_ms
        if self.size_mb is not None:
            size_mb = sum(math.inf if one is None else one.size_mb for one in known)
            worst = max(worst, size_mb * _MARGIN / self.size_mb)
        return worst

    def allow(self, footprints: Iterable[Footprint | None]) -> bool:
        """Whether these solutions together keep to the limits."""
        return self.excess(footprints) <= 1.0

    def describe(self) -> str:
        """The limits for a person: `at most 5 ms a row and 20 MB`."""
        parts = []
        if self.latency_ms is not None:
            parts.append(f"{self.latency_ms:g} ms a row")
        if self.size_mb is not None:
            parts.append(f"{self.size_mb:g} MB")
        return f"at most {' and '.join(parts)}" if parts else "no limits"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; `Limits(**body)` is the inverse."""
        return asdict(self)


NO_LIMITS = Limits()


def footprint_of(fitted: FittedSolution, rows: Table) -> Footprint:
    """Measure a fitted solution on the first of these rows.

    Parameters
    ----------
    rows : Table (n_rows, …)
        As they are before the table blocks.
    """
    row = rows.take(np.arange(1))
    fastest_s = math.inf
    for _ in range(_TRIES):
        start = time.perf_counter()
        fitted.predict_table(row)
        fastest_s = min(fastest_s, time.perf_counter() - start)
    body = pickle.dumps(fitted, protocol=pickle.HIGHEST_PROTOCOL)
    middle = body[max(0, (len(body) - _SAMPLE_BYTES) // 2) :][:_SAMPLE_BYTES]
    ratio = len(zlib.compress(middle, 1)) / len(middle)
    return Footprint(1000.0 * fastest_s, len(body) * ratio / _MB)
