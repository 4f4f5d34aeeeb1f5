"""Text tables: encoding, separator and cells of a CSV-like file. Every cell stays text; `columns` decides what it means."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter

import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from .errors import InvalidInput
from .issue import Issue

SEPARATORS = (",", ";", "\t", "|")
NULLS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "#NA", "<NA>"]
"""Texts that mean a missing cell in every column. `None` is not among them: it is a category in many tables."""

_SAMPLE_BYTES = 1 << 17
_LEADING_BLANK_LINES = re.compile(rb"(?:[ \t]*\r?\n)+")
_NOT_BLANK = re.compile(rb"\S")
_DECODED_AT_ONCE = 1 << 24
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_delimited(body: bytes, name: str) -> tuple[pd.DataFrame, list[Issue]]:
    """Read the bytes of a text table; raises `InvalidInput` for an empty, binary or ragged file.

    Returns
    -------
    DataFrame (n_rows, n_columns) of `str`, missing cells NaN, and the issues met. Empty column names come back empty.
    """
    text, issues = _as_utf8(body, name)
    if _NOT_BLANK.search(text) is None:
        raise InvalidInput(f"expected a table with a header and rows, got the empty file {name}; check the export")
    if blank := _LEADING_BLANK_LINES.match(text):
        text = text[blank.end() :]
    try:
        separator = sniff_separator(text[:_SAMPLE_BYTES].decode("utf-8", errors="ignore"))
        names = _header(text, separator)
    except csv.Error as error:
        raise InvalidInput(
            f"expected a header line in {name}, got text that is no table: {error}; check the file"
        ) from error
    unique = [f"c{position}" for position in range(len(names))]
    if len(names) == 1:
        # An empty line is a row whose cell is missing, but for those at the end.
        text = text.rstrip(b"\r\n")
    quoted = b'"' in text
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # Large blocks: a quoted cell with line breaks must not straddle two of them.
            read_options=arrow_csv.ReadOptions(
                column_names=unique, block_size=max(1 << 20, min(len(text) + 1, 1 << 28)) if quoted else 1 << 22
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator,
                newlines_in_values=quoted,
                ignore_empty_lines=len(names) > 1,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(unique, pa.string()),
                null_values=NULLS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"expected {len(names)} cells in every row of {name}, as in its header, got: {_short(str(error))}; "
            "repair that row or quote cells that hold the separator"
        ) from error
    # The header is read as a row, so that duplicate and empty names can be reported as they are written.
    body_table = table.slice(1)
    frame = body_table.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow", na_value=float("nan"))}.get)
    frame.columns = pd.Index(names, dtype=object)
    return frame, issues


def sniff_separator(sample: str) -> str:
    """Return the separator that cuts the first lines into the same number of cells, more than one; a comma if none does."""
    best, best_rank = ",", (0.0, 0)
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=None), delimiter=separator) if row][:50]
        # The last row of the sample may be cut in the middle.
        widths = Counter(len(row) for row in (rows[:-1] if len(rows) > 2 else rows))
        width, votes = widths.most_common(1)[0]
        rank = (votes / widths.total(), width)
        if width > 1 and len(rows[0]) == width and rank > best_rank:
            best, best_rank = separator, rank
    return best


def _header(text: bytes, separator: str) -> list[str]:
    for end in (1 << 16, 1 << 20, len(text)):
        reader = csv.reader(io.StringIO(text[:end].decode("utf-8", errors="ignore"), newline=None), delimiter=separator)
        first = next((row for row in reader if row), [])
        if reader.line_num and (end >= len(text) or next(reader, None) is not None):
            return [cell.strip() for cell in first]
    return []


def _as_utf8(body: bytes, name: str) -> tuple[bytes, list[Issue]]:
    """Return the text as UTF-8 without a byte-order mark."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            if encoding == "utf-8-sig":
                return body[len(mark) :], []
            try:
                text = body.decode(encoding)
            except UnicodeDecodeError as error:
                raise InvalidInput(
                    f"expected text in {encoding}, got broken bytes in {name}; export it as UTF-8"
                ) from error
            return text.encode(), [Issue("encoding", None, 0, f"the file is {encoding}; read as such")]
    if b"\x00" in body[:_SAMPLE_BYTES]:
        raise InvalidInput(
            f"expected a text table, got a binary file: {name}; give a CSV, Parquet, Feather or Excel file with its own ending"
        )
    wrong = _first_byte_not_utf8(body)
    if wrong is not None:
        for encoding in ("cp1252", "latin-1"):
            try:
                text = body.decode(encoding)
            except UnicodeDecodeError:
                continue
            if _control_share(text[:_SAMPLE_BYTES]) > 0.01:
                break
            message = f"the file is not UTF-8 (byte {wrong}); read as {encoding}, so check letters with accents"
            return text.encode(), [Issue("encoding", None, 0, message)]
        raise InvalidInput(
            f"expected a text table, got a binary file: {name}; give a CSV, Parquet, Feather or Excel file"
        )
    return body, []


def _first_byte_not_utf8(body: bytes) -> int | None:
    """Position of the first byte that is no UTF-8, or None. In parts, because the text of a large file fills memory twice."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _DECODED_AT_ONCE):
        end = start + _DECODED_AT_ONCE
        carried = len(decoder.getstate()[0])
        try:
            decoder.decode(body[start:end], final=end >= len(body))
        except UnicodeDecodeError as error:
            return start - carried + error.start
    return None


def _control_share(text: str) -> float:
    strange = sum((ord(letter) < 32 and letter not in "\t\r\n") or 127 <= ord(letter) < 160 for letter in text)
    return strange / max(1, len(text))


def _short(message: str) -> str:
    return message.replace("CSV parse error: ", "")[:200]
