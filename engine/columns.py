"""What each raw column is (its role) and its values typed as `Table` describes.

A `ColumnSpec` is decided once, on the training file, and then reads every later file the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from . import dates
from .cells import Cells, cells_of
from .errors import InvalidInput
from .issue import Issue
from .levels import as_category
from .names import id_name, identifies, time_name
from .numerals import MISSING_WORDS, Numerals, looks_numeric, read_numerals
from .roles import Role

TRUE_WORDS = frozenset({"true", "yes", "y", "t", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "n", "f", "off", "0"})
_PAIRS = [{"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"}]
VALUE_ROLES = frozenset(
    {Role.NUMERIC, Role.CATEGORICAL, Role.BOOLEAN, Role.DATETIME, Role.TEXT, Role.ID, Role.CONSTANT}
)

_ROWS_PER_ID = 20


@dataclass(frozen=True)
class ColumnSpec:
    """How a column is read. `date_format` matters for DATETIME, `decimal_comma` and `dotted_thousands` for NUMERIC."""

    name: str
    role: Role
    date_format: str = dates.ISO
    decimal_comma: bool = False
    dotted_thousands: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; inverse of `from_json`."""
        return {
            "name": self.name,
            "role": self.role.value,
            "date_format": self.date_format,
            "decimal_comma": self.decimal_comma,
            "dotted_thousands": self.dotted_thousands,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ColumnSpec:
        """Rebuild a specification."""
        return cls(
            str(body["name"]),
            Role(body["role"]),
            str(body["date_format"]),
            bool(body["decimal_comma"]),
            bool(body.get("dotted_thousands", False)),
        )


@dataclass(frozen=True)
class TypedColumn:
    """A column's specification, its typed values (fresh row index) and what was found on the way."""

    spec: ColumnSpec
    values: pd.Series
    issues: tuple[Issue, ...]


def infer_column(column: pd.Series, name: str, role: Role | None = None) -> TypedColumn:
    """Decide what a raw column is and type it; `role` (one of `VALUE_ROLES`) overrides the decision.

    Raises `InvalidInput` when an override cannot read most of the cells.
    """
    cells = cells_of(column)
    spec, issues = _decide(cells, name) if role is None else _as_told(cells, name, role)
    typed, lost = apply_spec(spec, cells)
    dirty = sum(issue.count for issue in lost if issue.code == "dirty_cells")
    if role is not None and dirty > 0.5 * column.notna().sum():
        raise InvalidInput(f"expected {role.value} values in {name!r}, got mostly others; choose another role for it")
    if cells.mixed:
        issues = [*issues, Issue("mixed_types", name, cells.mixed, f"{name} mixes types; read as {spec.role.value}")]
    return TypedColumn(spec, typed, (*issues, *lost))


def read_column(spec: ColumnSpec, column: pd.Series) -> tuple[pd.Series, list[Issue]]:
    """Type a column of a later file as its specification says, with what could not be read."""
    return apply_spec(spec, cells_of(column))


def apply_spec(spec: ColumnSpec, cells: Cells) -> tuple[pd.Series, list[Issue]]:
    """Type the cells; unreadable ones become missing and are reported."""
    if spec.role == Role.NUMERIC:
        return _numeric(spec, cells)
    if spec.role == Role.BOOLEAN:
        return _boolean(spec, cells)
    if spec.role == Role.DATETIME:
        return _datetime(spec, cells)
    words, codes = cells.distinct
    if spec.role == Role.TEXT:
        # The extra slot at the end is what code −1 (missing) points to.
        texts = np.append(words.to_numpy(dtype=object), np.nan)[codes]
        return pd.Series(texts, name=spec.name, dtype="str"), []
    return pd.Series(as_category(words, codes), name=spec.name), []


# --- deciding ---------------------------------------------------------------------------------------------------------


def _decide(cells: Cells, name: str) -> tuple[ColumnSpec, list[Issue]]:
    if cells.dates is not None:
        constant = cells.dates.isna().all()
        return ColumnSpec(name, Role.CONSTANT if constant else Role.DATETIME), []
    if cells.numbers is not None and not _zero_led(cells):
        return _decide_numbers(cells.numbers, cells.integers, name), []
    words, _ = cells.distinct
    counts = cells.counts
    known = int(counts.sum())
    if known == 0 or (len(words) == 1 and known == len(cells.distinct[1])):
        return ColumnSpec(name, Role.CONSTANT), []
    if not _zero_led(cells) and (numerals := looks_numeric(words, counts)) is not None:
        numbers = np.append(numerals.values, np.nan)[cells.distinct[1]]
        return _decide_numbers(numbers, None, name, numerals), []
    lowered = set(words.str.lower()) if len(words) <= 6 else set()
    if any(lowered == pair for pair in _PAIRS):
        return ColumnSpec(name, Role.BOOLEAN), []
    if (found := dates.text_format(words, counts)) is not None:
        issues = []
        if found[1]:
            message = f"{name} could be day/month or month/day; read as {found[0]}: give ISO dates to be sure"
            issues.append(Issue("ambiguous_dates", name, known, message))
        if dates.OR in found[0]:
            message = f"{name} mixes two formats of dates ({found[0]}); read by both: write ISO dates to be sure"
            issues.append(Issue("mixed_dates", name, known, message))
        return ColumnSpec(name, Role.DATETIME, date_format=found[0]), issues
    return ColumnSpec(name, _text_role(words, counts, name)), []


def _decide_numbers(
    numbers: np.ndarray, integers: np.ndarray | None, name: str, numerals: Numerals | None = None
) -> ColumnSpec:
    finite = np.isfinite(numbers)
    known = numbers if finite.all() else numbers[finite]
    exact = integers if integers is not None else known
    if len(known) == 0 or (len(known) == len(numbers) and exact.min() == exact.max()):
        return ColumnSpec(name, Role.CONSTANT)
    if known.min() == 0.0 and known.max() == 1.0 and ((known == 0.0) | (known == 1.0)).all():
        return ColumnSpec(name, Role.BOOLEAN)
    if (date_format := dates.number_format(numbers, name)) is not None:
        return ColumnSpec(name, Role.DATETIME, date_format=date_format)
    role = Role.ID if len(exact) == len(numbers) and _counts_rows(exact, name) else Role.NUMERIC
    return _written_as(ColumnSpec(name, role), numerals)


def _written_as(spec: ColumnSpec, numerals: Numerals | None) -> ColumnSpec:
    """The specification with the signs that the column's numbers are written with."""
    if numerals is None:
        return spec
    return replace(spec, decimal_comma=numerals.decimal_comma, dotted_thousands=numerals.dotted_thousands)


def _counts_rows(values: np.ndarray, name: str) -> bool:
    """Whether whole numbers without gaps are identifiers: a counter of rows, or what the name calls an id."""
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        return False
    n_rows = len(values)
    span = int(values.max()) - int(values.min()) + 1
    hinted = id_name(name)
    if not hinted and (span > 5 * n_rows or span < n_rows or time_name(name)):
        return False
    n_distinct = len(pd.unique(values))
    if n_distinct == n_rows:
        # n draws from 5n values would meet one twice with probability above 1 − exp(−n/10): no repeat means a counter.
        return hinted or (n_rows >= 20 and span == n_rows) or n_rows >= 100
    return identifies(name) and n_distinct >= 100 and n_rows / n_distinct <= _ROWS_PER_ID


def _zero_led(cells: Cells) -> bool:
    """Whether whole numbers are codes such as 01234: all equally long, at least four digits, some with a leading zero."""
    first = cells.first if cells.numbers is not None else None
    if first is None or len(first) < 4 or not first.isdigit():
        return False
    words, _ = cells.distinct
    return bool(words.str.startswith("0").any() and words.str.len().nunique() == 1 and words.str.isdigit().all())


def _text_role(words: pd.Series, counts: np.ndarray, name: str) -> Role:
    known = int(counts.sum())
    share = len(words) / known
    some = words.iloc[np.linspace(0, len(words) - 1, min(1000, len(words))).astype(np.int64)]
    n_words = some.str.count(r"\S+")
    lengths = some.str.len()
    single = float(n_words.mean()) <= 1.05 and float(lengths.max()) <= 64
    if known >= 20 and single and share >= 0.95:
        return Role.ID
    if single and identifies(name) and len(words) >= 100 and 1 / share <= _ROWS_PER_ID:
        return Role.ID
    long = float(n_words.mean()) >= 3.0 or float(lengths.mean()) >= 60.0
    if long and len(words) > 20 and share >= 0.3:
        return Role.TEXT
    return Role.CATEGORICAL


def _as_told(cells: Cells, name: str, role: Role) -> tuple[ColumnSpec, list[Issue]]:
    if role not in VALUE_ROLES:
        accepted = ", ".join(sorted(VALUE_ROLES))
        raise InvalidInput(f"expected a role for values ({accepted}) for {name!r}, got {role.value}")
    if role == Role.DATETIME and cells.dates is None:
        if cells.numbers is not None and (number_format := dates.number_format(cells.numbers, f"{name} date")):
            return ColumnSpec(name, role, date_format=number_format), []
        words, _ = cells.distinct
        found = dates.text_format(words, cells.counts)
        if found is None:
            came = ", ".join(words.head(3))
            raise InvalidInput(
                f"expected dates in {name!r}, got {came}; write them as 2024-12-31 or 2024-12-31 23:59:59"
            )
        return ColumnSpec(name, role, date_format=found[0]), []
    are_words = role == Role.NUMERIC and cells.numbers is None and cells.dates is None
    return _written_as(ColumnSpec(name, role), read_numerals(cells.distinct[0]) if are_words else None), []


# --- typing -----------------------------------------------------------------------------------------------------------


def _numeric(spec: ColumnSpec, cells: Cells) -> tuple[pd.Series, list[Issue]]:
    issues: list[Issue] = []
    if cells.dates is not None:
        issues += _dirty(spec, cells.dates.astype(str), cells.dates.notna().to_numpy(), "a number")
        return pd.Series(np.full(len(cells.dates), np.nan), name=spec.name), issues
    if cells.blank:
        message = f"{cells.blank} cells of {spec.name} are blank or a question mark: read as missing"
        issues.append(Issue("missing_words", spec.name, cells.blank, message))
    came_as_text = cells.words is not None
    if cells.numbers is not None and not (spec.dotted_thousands and came_as_text):
        numbers = cells.numbers
    else:
        words, codes = cells.distinct
        numerals = read_numerals(words, spec.decimal_comma, spec.dotted_thousands)
        numbers = np.append(numerals.values, np.nan)[codes]
        counts = cells.counts
        issues += _dirty_words(spec, words[numerals.junk], int(counts[numerals.junk].sum()), "a number")
        blank = np.flatnonzero(np.isnan(numerals.values) & ~numerals.junk)
        if len(blank):
            shown = ", ".join(words.iloc[blank[:3]])
            count = int(counts[blank].sum())
            issues.append(
                Issue("missing_words", spec.name, count, f"{count} cells of {spec.name} say {shown}: read as missing")
            )
    infinite = np.isinf(numbers)
    if infinite.any():
        numbers = np.where(infinite, np.nan, numbers)
        count = int(infinite.sum())
        issues.append(Issue("infinite", spec.name, count, f"{count} infinite values of {spec.name} read as missing"))
    return pd.Series(numbers, name=spec.name), issues


def _boolean(spec: ColumnSpec, cells: Cells) -> tuple[pd.Series, list[Issue]]:
    words, codes = cells.distinct
    lowered = words.str.lower()
    true, false = lowered.isin(TRUE_WORDS).to_numpy(dtype=bool), lowered.isin(FALSE_WORDS).to_numpy(dtype=bool)
    meaning = np.append(np.where(true, 1.0, np.where(false, 0.0, np.nan)), np.nan)
    junk = ~true & ~false & ~lowered.isin(MISSING_WORDS).to_numpy(dtype=bool)
    return pd.Series(meaning[codes], name=spec.name), _dirty_words(
        spec, words[junk], int(cells.counts[junk].sum()), "yes/no, true/false or 1/0"
    )


def _datetime(spec: ColumnSpec, cells: Cells) -> tuple[pd.Series, list[Issue]]:
    if cells.dates is not None:
        return cells.dates.rename(spec.name), []
    if spec.date_format in dates.EPOCHS or (cells.numbers is not None and spec.date_format == dates.COMPACT):
        numbers = cells.numbers
        if numbers is None:
            words, codes = cells.distinct
            numbers = np.append(read_numerals(words, False).values, np.nan)[codes]
        parsed = dates.from_epoch(numbers, spec.date_format).rename(spec.name)
        if not parsed.isna().any():
            return parsed, []
        words, codes = cells.distinct
        lost = np.bincount(codes[(codes >= 0) & parsed.isna().to_numpy()], minlength=len(words)) > 0
        lost &= ~words.str.lower().isin(MISSING_WORDS).to_numpy(dtype=bool)
        return parsed, _dirty_words(spec, words[lost], int(cells.counts[lost].sum()), f"a date ({spec.date_format})")
    words, codes = cells.distinct
    parsed = dates.parse(words, spec.date_format)
    junk = parsed.isna().to_numpy() & ~words.str.lower().isin(MISSING_WORDS).to_numpy(dtype=bool)
    values = np.append(parsed.to_numpy(), np.datetime64("NaT"))[codes]
    typed = pd.Series(values, name=spec.name).astype("datetime64[us]")
    return typed, _dirty_words(spec, words[junk], int(cells.counts[junk].sum()), f"a date ({spec.date_format})")


def _dirty(spec: ColumnSpec, texts: pd.Series, where: np.ndarray, expected: str) -> list[Issue]:
    return _dirty_words(spec, texts[where].drop_duplicates(), int(where.sum()), expected)


def _dirty_words(spec: ColumnSpec, words: pd.Series, count: int, expected: str) -> list[Issue]:
    if count == 0:
        return []
    shown = ", ".join(word[:20] for word in words.head(3))
    cells, are = ("cell", "is") if count == 1 else ("cells", "are")
    message = f"{count} {cells} of {spec.name} {are} not {expected} ({shown}): read as missing"
    return [Issue("dirty_cells", spec.name, count, message)]
