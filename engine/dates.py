"""Dates written as text or as counted seconds: which format a column uses, and its values as naive `datetime64`."""

from __future__ import annotations

import re
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

ISO = "ISO8601"
EPOCHS: dict[str, Literal["s", "ms", "us", "ns"]] = {
    "epoch_s": "s",
    "epoch_ms": "ms",
    "epoch_us": "us",
    "epoch_ns": "ns",
}
COMPACT = "%Y%m%d"
OR = " or "
"""Stands between the two formats of a column that mixes them."""

_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y")
_NAMED_MONTHS = ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y")
FORMATS = tuple(day + time for day, time in product((*_DAYS, *_NAMED_MONTHS), _TIMES))

_ISO_LIKE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}.*)?|(1[89]|2[01])\d{2}-\d{1,2}")
"""A year and a month alone are taken for a date in the years 1800 to 2199 only: `4711-08` is a code."""
_DATE_LIKE = re.compile(r"(\d{1,4}[/.\- ](\d{1,2}|[A-Za-z]{3,9})[/.\- ]\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4})\b.*")
_DATE_NAME = re.compile(r"(date|day|time|timestamp|datetime|epoch|dt|ts|created|updated|at)$", re.IGNORECASE)
_SAMPLE = 200
_ENOUGH = 0.95


def parse(texts: pd.Series, date_format: str) -> pd.Series:
    """Read texts as naive datetimes; what does not fit is NaT. Zones are turned into UTC and dropped.

    A format may be two, joined by `OR`: what the first one does not read is read by the second.
    """
    first, _, second = date_format.partition(OR)
    if second:
        return _parse(texts, first).fillna(_parse(texts, second))
    return _parse(texts, date_format)


def _parse(texts: pd.Series, date_format: str) -> pd.Series:
    return naive(pd.to_datetime(texts, format=date_format, errors="coerce", utc=date_format == ISO))


def naive(values: pd.Series) -> pd.Series:
    """Return datetimes without a zone (in UTC), in microseconds."""
    if getattr(values.dt, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return values.astype("datetime64[us]")


def from_epoch(values: np.ndarray, date_format: str) -> pd.Series:
    """Turn counted time (`epoch_s` …) or `YYYYMMDD` integers into datetimes; NaN and impossible values become NaT."""
    if date_format == COMPACT:
        known = np.isfinite(values)
        texts = pd.Series(np.where(known, values, 0).astype(np.int64)).astype(str)
        return parse(texts, COMPACT)
    limited = pd.Series(np.where(np.isfinite(values), values, np.nan))
    return naive(pd.to_datetime(limited, unit=EPOCHS[date_format], errors="coerce"))


def text_format(texts: pd.Series, counts: np.ndarray) -> tuple[str, bool] | None:
    """Find the format of distinct trimmed texts.

    Returns
    -------
    (format, ambiguous) or None
        `ambiguous`: day and month could be swapped for every value, and the month was taken to come first.
    """
    if len(texts) == 0:
        return None
    some = texts.iloc[np.linspace(0, len(texts) - 1, min(_SAMPLE, len(texts))).astype(np.int64)]
    matched = [word for word in some if _ISO_LIKE.fullmatch(word) or _DATE_LIKE.fullmatch(word)]
    if len(matched) < _ENOUGH * len(some):
        return None
    if sum(bool(_ISO_LIKE.fullmatch(word)) for word in matched) >= _ENOUGH * len(matched):
        return (ISO, False) if _share(texts, counts, ISO) >= _ENOUGH else None
    return _one_format(texts, counts, matched) or _two_formats(texts, counts, matched)


def _one_format(texts: pd.Series, counts: np.ndarray, matched: list[str]) -> tuple[str, bool] | None:
    fitting = [
        candidate for candidate in FORMATS if _share(pd.Series(matched), np.ones(len(matched)), candidate) >= _ENOUGH
    ]
    scored = [(_share(texts, counts, candidate), candidate) for candidate in fitting]
    if not scored:
        return None
    best = max(share for share, _ in scored)
    if best < _ENOUGH:
        return None
    equal = [candidate for share, candidate in scored if share == best]
    day_first = [candidate for candidate in equal if candidate.startswith("%d")]
    month_first = [candidate for candidate in equal if candidate.startswith("%m")]
    if day_first and month_first:
        # A dot separates days from months where the day comes first; slashes and dashes do not tell.
        return month_first[0], True
    return equal[0], False


def _two_formats(texts: pd.Series, counts: np.ndarray, matched: list[str]) -> tuple[str, bool] | None:
    """The two formats that read a column together, as where files of two systems were put into one."""
    words = pd.Series(matched)
    reads = {candidate: _parse(words, candidate).notna().to_numpy() for candidate in (ISO, *FORMATS)}
    usable = [candidate for candidate, read in reads.items() if read.any()]
    pairs = [(first, second) for number, first in enumerate(usable) for second in usable[number + 1 :]]
    covered = [float((reads[first] | reads[second]).mean()) for first, second in pairs]
    if not pairs or max(covered) < _ENOUGH:
        return None
    best = [pair for pair, share in zip(pairs, covered, strict=True) if share == max(covered)]
    first, second = best[0]
    joined = f"{first}{OR}{second}"
    return (joined, len(best) > 1) if _share(texts, counts, joined) >= _ENOUGH else None


def number_format(values: np.ndarray, name: str) -> str | None:
    """Format of a numeric column that counts time, only where its name says so and every value fits the years 1980–2100."""
    if not _DATE_NAME.search(name):
        return None
    known = values[np.isfinite(values)]
    if len(known) == 0 or (known != np.floor(known)).any():
        return None
    low, high = float(known.min()), float(known.max())
    if low >= 19_000_101 and high <= 21_001_231:
        fits = bool(from_epoch(known, COMPACT).notna().mean() >= _ENOUGH)
        return COMPACT if fits else None
    for date_format, scale in (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6), ("epoch_ns", 1e9)):
        if 315_532_800 * scale <= low and high <= 4_102_444_800 * scale:
            return date_format
    return None


def _share(texts: pd.Series, counts: np.ndarray, date_format: str) -> float:
    """Share of rows that the format reads."""
    return float(counts[parse(texts, date_format).notna().to_numpy()].sum() / counts.sum())
