"""Typing the cells of a single row, each in microseconds instead of the milliseconds that reading a whole column costs.

Only plain cells are read here, exactly as `columns.read_column` reads them; for all others the answer is None, and the caller reads
the column in the general way, which also says what was wrong with the cell.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np
import pandas as pd

from .cells import MISSING_TEXTS
from .columns import FALSE_WORDS, TRUE_WORDS, ColumnSpec
from .dates import ISO
from .roles import Role

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?")
_EXACT = 2.0**53

Values = np.ndarray | pd.Categorical | pd.Series


def read_cell(spec: ColumnSpec, cell: object) -> Values | None:
    """Return the typed values (1,) of a column's only cell, or None where the cell is not plain."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, str) and (cell.strip() != cell or not cell.isascii()):
        return None
    if isinstance(cell, float) and cell == 0.0 and math.copysign(1.0, cell) < 0.0:
        return None
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        cell = ""
    missing = isinstance(cell, str) and cell in MISSING_TEXTS
    if spec.role is Role.NUMERIC:
        number = math.nan if missing else _number(cell, spec.decimal_comma)
        return None if number is None else np.array([number])
    if spec.role is Role.BOOLEAN:
        truth = math.nan if missing else _truth(cell)
        return None if truth is None else np.array([truth])
    if spec.role is Role.DATETIME:
        moment = np.datetime64("NaT", "us") if missing else _moment(cell, spec.date_format)
        return None if moment is None else np.array([moment])
    word = "" if missing else _word(cell)
    if word is None:
        return None
    if spec.role is Role.TEXT:
        return pd.Series([np.nan if missing else word], dtype="str")
    return pd.Categorical.from_codes([-1 if missing else 0], dtype=_only_level(None if missing else word))


def _number(cell: object, decimal_comma: bool) -> float | None:
    if isinstance(cell, str):
        return float(cell) if not decimal_comma and _NUMBER.fullmatch(cell) else None
    if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < _EXACT:
        return float(cell)
    return None


def _truth(cell: object) -> float | None:
    if isinstance(cell, str):
        lowered = cell.lower()
        return 1.0 if lowered in TRUE_WORDS else 0.0 if lowered in FALSE_WORDS else None
    return float(cell) if isinstance(cell, int | float) and cell in (0, 1) else None


def _moment(cell: object, date_format: str) -> np.datetime64 | None:
    if isinstance(cell, pd.Timestamp) and cell.tz is None:
        return np.datetime64(cell, "us")
    if not isinstance(cell, str) or date_format != ISO or not _DAY.fullmatch(cell):
        return None
    try:
        return np.datetime64(cell, "us")
    except ValueError:
        return None


def _word(cell: object) -> str | None:
    if isinstance(cell, str):
        whole = _WHOLE.fullmatch(cell)
        return whole.group(1) if whole else cell
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    return str(int(cell)) if abs(cell) < _EXACT and cell == int(cell) else None


@lru_cache(maxsize=4096)
def _only_level(word: str | None) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index([] if word is None else [word], dtype="str"))
