"""Categories with string levels in one canonical order: by value when all are whole numbers, by text otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd

NATIVE_LEVELS = 100
"""Boosters split a category of up to so many levels natively by default; one of more they read as ordered codes, which tell little
where the order is that of an alphabet."""


def level_order(words: pd.Series) -> np.ndarray:
    """Positions that sort distinct words canonically."""
    if len(words) < 2:
        return np.arange(len(words))
    numbers = pd.to_numeric(words, errors="coerce")
    if len(words) and numbers.notna().all():
        return np.lexsort((words.to_numpy(dtype=object).astype(str), numbers.to_numpy()))
    return np.argsort(words.to_numpy(dtype=object).astype(str), kind="stable")


def as_category(words: pd.Series, codes: np.ndarray) -> pd.Categorical:
    """Build a category of `words[codes]` (−1: missing) that has exactly the levels in use, in canonical order."""
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(words)))
    kept = words.iloc[used].reset_index(drop=True)
    order = level_order(kept)
    place = np.full(len(words) + 1, -1, dtype=np.int64)
    place[used[order]] = np.arange(len(used))
    return pd.Categorical.from_codes(place[codes], categories=pd.Index(kept.iloc[order], dtype="str"))
