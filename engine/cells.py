"""The cells of one raw column, whatever type it came in: as numbers, dates or distinct trimmed texts. No roles here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .dates import naive

MISSING_TEXTS = ("", "?")
"""Trimmed cells that are missing in every column, beside the nulls of the reader."""


@dataclass(frozen=True)
class Cells:
    """One raw column.

    Attributes
    ----------
    numbers : ndarray (n_rows,) float64 or None
        Set when every cell is a number or missing (NaN).
    integers : ndarray (n_rows,) int64 or None
        Set when there are only whole numbers and nothing is missing; exact beyond 2**53.
    dates : Series (n_rows,) datetime64 or None
        Set when the column came as dates.
    text : pyarrow string array (n_rows,) or None
        The cells as they were read, where all of them are plain numbers.
    found : (pyarrow string array (n_distinct,), ndarray (n_rows,) int64) or None
        What `words` gives, where it is known already.
    blank : int
        Cells that hold only white space or a question mark.
    mixed : int
        Rows whose type is not the column's most common one; 0 where the format has one type per column.
    """

    numbers: np.ndarray | None = None
    integers: np.ndarray | None = None
    dates: pd.Series | None = None
    text: pa.Array | pa.ChunkedArray | None = None
    found: tuple[pa.Array, np.ndarray] | None = None
    blank: int = 0
    mixed: int = 0

    @property
    def first(self) -> str | None:
        """The first known cell of a column that came as text; None for others and where nothing is known."""
        if self.text is not None:
            return _first_known(self.text)
        return self.found[0][0].as_py() if self.found and len(self.found[0]) else None

    @cached_property
    def words(self) -> tuple[pa.Array, np.ndarray] | None:
        """Distinct trimmed texts and each row's position among them (−1: missing), when the column came as text."""
        return self.found if self.text is None else _encoded(self.text)

    @cached_property
    def distinct(self) -> tuple[pd.Series, np.ndarray]:
        """Distinct texts (n_distinct,) and each row's position among them (n_rows,), −1 where missing."""
        words, codes = self.words or _encoded(self._as_text())
        # 1.0 and 1 are the same category, whether the file or a data frame in memory wrote it.
        plain, codes = _merged(pc.replace_substring_regex(words, pattern=r"^([+-]?\d+)\.0+$", replacement=r"\1"), codes)
        return pd.Series(plain.to_pylist(), dtype="str"), codes

    def as_written(self) -> pd.Series:
        """Spelling of each distinct text (n_distinct,) as it first stands in the file: `1.0` where `distinct` says `1`."""
        texts, codes = self.distinct
        if self.words is None:
            return texts
        spellings, raw_codes = self.words
        first = np.unique(codes, return_index=True)
        rows = first[1][first[0] >= 0]
        return pd.Series(spellings.to_pandas().iloc[raw_codes[rows]].to_list(), dtype="str")

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each distinct text (n_distinct,)."""
        texts, codes = self.distinct
        return np.bincount(codes[codes >= 0], minlength=len(texts))

    def _as_text(self) -> pa.Array:
        if self.integers is not None:
            return pa.array(self.integers).cast(pa.string())
        if self.dates is not None:
            iso = self.dates.dt.strftime("%Y-%m-%d %H:%M:%S").str.removesuffix(" 00:00:00")
            return pa.array(iso.tolist(), type=pa.string(), from_pandas=True)
        assert self.numbers is not None
        whole = np.isfinite(self.numbers) & (np.abs(self.numbers) < 2**53)
        whole &= np.floor(self.numbers) == self.numbers
        if (whole | np.isnan(self.numbers)).all():
            masked = pa.array(np.where(whole, self.numbers, 0).astype(np.int64), mask=~whole)
            return masked.cast(pa.string())
        return pa.array(self.numbers, from_pandas=True).cast(pa.string())


def cells_of(column: pd.Series) -> Cells:
    """Look at a raw column of any dtype."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        # A cell without a category is missing, whatever the categories are.
        column = pd.Series(column.cat.categories.array).reindex(column.cat.codes).reset_index(drop=True)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    dtype = column.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return Cells(dates=naive(column).reset_index(drop=True))
    if pd.api.types.is_timedelta64_dtype(dtype):
        return Cells(numbers=column.dt.total_seconds().to_numpy(dtype=np.float64))
    if pd.api.types.is_complex_dtype(dtype):
        return _of_text(_object_texts(column))
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        exact = pd.api.types.is_integer_dtype(dtype) and not np.isnan(numbers).any() and (numbers < 2.0**63).all()
        return Cells(numbers=numbers, integers=column.to_numpy(dtype=np.int64) if exact else None)
    if pd.api.types.is_object_dtype(dtype):
        return _of_objects(column)
    if not pd.api.types.is_string_dtype(dtype):
        return _of_text(_object_texts(column))
    return _of_text(pa.array(column, type=pa.string(), from_pandas=True))


def _of_objects(column: pd.Series) -> Cells:
    known = column.dropna()
    kinds = known.map(lambda cell: "number" if isinstance(cell, int | float | np.number) else type(cell).__name__)
    common = kinds.value_counts()
    if len(common) == 1 and common.index[0] not in {"str", "number"}:
        dates = pd.to_datetime(column, errors="coerce", utc=True, format="mixed")
        if common.index[0] in {"Timestamp", "datetime", "date"} and dates.notna().sum() == len(known):
            return Cells(dates=naive(dates).reset_index(drop=True))
    return replace(_of_text(_object_texts(column)), mixed=int(common.iloc[1:].sum()))


def _object_texts(column: pd.Series) -> pa.Array:
    missing = column.isna().to_numpy()
    words = [None if gone else str(cell) for cell, gone in zip(column.tolist(), missing, strict=True)]
    return pa.array(words, type=pa.string())


def _of_text(text: pa.Array | pa.ChunkedArray) -> Cells:
    return _plain_numbers(text) or _of_words(text)


def _plain_numbers(text: pa.Array | pa.ChunkedArray) -> Cells | None:
    """Read a column in which every cell is a number or a null; None for others, most of which the first cell tells."""
    first = _first_known(text)
    if first is None or first.lstrip("+-.")[:1] not in set("0123456789"):
        return None
    for kind in _number_types(first):
        try:
            cast = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        values = cast.to_numpy() if isinstance(cast, pa.ChunkedArray) else cast.to_numpy(zero_copy_only=False)
        return Cells(values.astype(np.float64), values if values.dtype.kind == "i" else None, text=text)
    return None


def _first_known(text: pa.Array | pa.ChunkedArray) -> str | None:
    place = 0 if len(text) and text[0].is_valid else pc.index(pc.is_valid(text), True).as_py()
    return None if place < 0 else str(text[place].as_py())


def _number_types(first: str) -> tuple[pa.DataType, ...]:
    """Types to try: a failed cast is dear where there are thousands of columns, and the first word tells most of them apart."""
    return (pa.int64(), pa.float64()) if first.lstrip("+-").isdigit() else (pa.float64(),)


def _of_words(text: pa.Array | pa.ChunkedArray) -> Cells:
    # Everything is done on distinct texts: most columns have few, and casting or trimming every cell is what takes time.
    raw, codes = _encoded(text)
    words, codes = _merged(pc.utf8_trim_whitespace(raw), codes)
    gone = pc.is_in(words, value_set=pa.array(MISSING_TEXTS)).to_numpy(zero_copy_only=False)
    blank = 0
    if gone.any():
        place = np.append(np.where(gone, -1, np.cumsum(~gone) - 1), -1)
        known = int((codes >= 0).sum())
        codes, words = place[codes], words.filter(pa.array(~gone))
        blank = known - int((codes >= 0).sum())
    if len(words) == 0:
        return Cells(found=(words, codes), blank=blank)
    for kind in _number_types(words[0].as_py()):
        try:
            values = words.cast(kind).to_numpy()
        except pa.ArrowInvalid:
            continue
        numbers = np.append(values.astype(np.float64), np.nan)[codes]
        exact = kind == pa.int64() and not (codes < 0).any()
        return Cells(numbers, values[codes] if exact else None, found=(words, codes), blank=blank)
    return Cells(found=(words, codes), blank=blank)


def _encoded(text: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    encoded = text.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):  # pyarrow leaves an empty column chunked
            encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], encoded.type)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.cast(pa.string()), codes


def _merged(words: pa.Array, codes: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """Make changed words distinct again."""
    again = words.dictionary_encode()
    if len(again.dictionary) == len(words):
        return words, codes
    return again.dictionary, np.append(again.indices.to_numpy().astype(np.int64), -1)[codes]
