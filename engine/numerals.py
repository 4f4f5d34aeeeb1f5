"""Numbers written as text: plain, with thousands separators, decimal commas, currency or percent signs, and a few dirty cells.

Decides whether a column of distinct texts is a numeric column; what cannot be read becomes missing and is listed, so that the
caller can report it. Text is compared after trimming.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset(
    {
        "",
        "?",
        "-",
        "--",
        ".",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "<na>",
        "nan",
        "nil",
        "none",
        "null",
        "missing",
        "unknown",
        "#div/0!",
    }
)
"""Words (lower case) that mean a missing number."""

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+")
_DOTTED_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_DECORATION = re.compile(r"[\s\u00a0$€£¥']|%$")
_MAX_JUNK_WORDS = 10
_MAX_JUNK_SHARE = 0.02
_SAMPLE = 500


@dataclass(frozen=True)
class Numerals:
    """Distinct texts read as numbers.

    Attributes
    ----------
    values : ndarray (n_distinct,) float64
        NaN where a text is missing or cannot be read.
    junk : ndarray (n_distinct,) bool
        Texts that are neither a number nor a word for missing.
    decimal_comma : bool
        Whether `3,14` was read as 3.14.
    dotted_thousands : bool
        Whether `1.234` was read as 1234.
    """

    values: np.ndarray
    junk: np.ndarray
    decimal_comma: bool
    dotted_thousands: bool


def read_numerals(
    texts: pd.Series, decimal_comma: bool | None = None, dotted_thousands: bool | None = None
) -> Numerals:
    """Read distinct trimmed texts as numbers; `decimal_comma` and `dotted_thousands` None decide from the texts."""
    values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    failed = np.flatnonzero(np.isnan(values))
    words = texts.iloc[failed].astype(str).tolist()
    if decimal_comma is None:
        decimal_comma = _uses_decimal_comma(words)
    if dotted_thousands is None:
        dotted_thousands = decimal_comma and _uses_dotted_thousands(texts)
    if dotted_thousands:
        for place, word in enumerate(texts.astype(str).tolist()):
            if _DOTTED_THOUSANDS.fullmatch(word):
                values[place] = float(word.replace(".", ""))
    junk = np.zeros(len(texts), dtype=bool)
    for position, word in zip(failed, words, strict=True):
        if word.lower() in MISSING_WORDS:
            continue
        number = _read_one(word, decimal_comma)
        if number is None:
            junk[position] = True
        else:
            values[position] = number
    return Numerals(values, junk, decimal_comma, dotted_thousands)


def looks_numeric(texts: pd.Series, counts: np.ndarray) -> Numerals | None:
    """Return the numbers when the column is numeric but for a few dirty cells, else None.

    Dirty cells may make up 2 % of the rows that hold anything (one row is always allowed) in at most ten distinct words, and
    never more than a fifth of the numbers.

    Parameters
    ----------
    texts : Series (n_distinct,)
        Distinct trimmed texts.
    counts : ndarray (n_distinct,) int64
        Rows holding each text.
    """
    if len(texts) > _SAMPLE:
        # Most text columns are told apart by a sample, without reading every value word by word.
        some = texts.iloc[np.linspace(0, len(texts) - 1, _SAMPLE).astype(np.int64)]
        sampled = read_numerals(some)
        if sampled.junk.mean() > 0.2:
            return None
    found = read_numerals(texts)
    junk_rows = int(counts[found.junk].sum())
    good_rows = int(counts[~np.isnan(found.values)].sum())
    few = junk_rows <= max(1.0, _MAX_JUNK_SHARE * (good_rows + junk_rows)) and found.junk.sum() <= _MAX_JUNK_WORDS
    return found if few and good_rows >= 5 * junk_rows and good_rows > 0 else None


def _uses_decimal_comma(words: list[str]) -> bool:
    with_comma = [bare for word in words if "," in (bare := _DECORATION.sub("", word))]
    if not with_comma:
        return False
    decimal = sum(bool(_DECIMAL_COMMA.fullmatch(word)) and not _THOUSANDS.fullmatch(word) for word in with_comma)
    thousands = sum(bool(_THOUSANDS.fullmatch(word)) and word.count(",") > 1 for word in with_comma)
    return decimal > thousands


def _uses_dotted_thousands(texts: pd.Series) -> bool:
    """Whether `1.234` is a thousand here: some number has both signs, or there are many decimal commas and three digits behind
    every dot. One slip of the pen among measurements with three decimals is no evidence."""
    words = [_DECORATION.sub("", word) for word in texts.dropna().astype(str)]
    commas = [word for word in words if _DECIMAL_COMMA.fullmatch(word)]
    dots = [word for word in words if "." in word and "," not in word]
    if any("." in word for word in commas):
        return True
    return len(commas) >= len(dots) and all(_DOTTED_THOUSANDS.fullmatch(word) for word in dots)


def _read_one(word: str, decimal_comma: bool) -> float | None:
    bare = _DECORATION.sub("", word)
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    if "," in bare:
        if decimal_comma and _DECIMAL_COMMA.fullmatch(bare):
            bare = bare.replace(".", "").replace(",", ".")
        elif not decimal_comma and _THOUSANDS.fullmatch(bare):
            bare = bare.replace(",", "")
    try:
        return float(bare) if "_" not in bare else None
    except ValueError:
        return None
