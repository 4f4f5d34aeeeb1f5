"""From a file to a raw table: every supported format, one way in. Says nothing about roles, types or the target.

Reads CSV-like text (any common separator and encoding), Parquet, Arrow/Feather and Excel, plain or compressed; never a pickle.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import feather, parquet

from .delimited import read_delimited
from .errors import InvalidInput
from .issue import Issue
from .names import tidy_name

_PARQUET = (".parquet", ".pq")
_ARROW = (".feather", ".arrow", ".ipc")
_EXCEL = (".xlsx", ".xlsm")
_TEXT = (".csv", ".tsv", ".txt", ".tab", ".psv", ".data", ".dat", "")
ACCEPTED = "CSV/TSV text (also .gz .bz2 .xz .zst .zip), Parquet, Feather/Arrow or Excel (.xlsx)"

_UNNAMED = re.compile(r"(Unnamed: ?\d+)?")


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in the file: stripped, unique column names, a fresh row index, cells not interpreted.

    Text files give `str` columns (missing cells NaN); typed formats keep their types.
    """

    frame: pd.DataFrame
    issues: tuple[Issue, ...]


def read_table(path: str | Path, min_rows: int = 2, min_columns: int = 2) -> RawTable:
    """Read a table; raises `InvalidInput` in one sentence (expected, came, do) for anything that is not one.

    Parameters
    ----------
    path : str or Path
        The ending names the format; compression is recognised by ending or content.
    min_rows, min_columns : int
        What makes a usable table. A file to predict may hold one row.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidInput(f"expected a file, got the folder {path}; name the table inside it")
    if not path.exists():
        raise InvalidInput(f"expected a file, found nothing at {path}; check the path")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"expected a readable file, got {error.strerror}: {path}; check its permissions") from error
    body, name = _decompress(body, path.name)
    if not body:
        raise InvalidInput(f"expected a table with a header and rows, got the empty file {path.name}; check the export")
    frame, issues = _parse(body, name)
    return tidy(frame, issues, path.name, min_rows, min_columns)


def tidy(frame: pd.DataFrame, issues: list[Issue], name: str, min_rows: int, min_columns: int) -> RawTable:
    """Name the columns, drop what is no column and check the size; raises `InvalidInput`."""
    names = [tidy_name(column) if column is not None else "" for column in frame.columns]
    twice = [column for column, count in Counter(names).items() if count > 1 and column]
    if twice:
        raise InvalidInput(
            f"expected every column name once, got {', '.join(map(repr, twice[:5]))} more than once in {name}; rename them"
        )
    empty = [
        position
        for position, column in enumerate(names)
        if _UNNAMED.fullmatch(column) and bool(frame.iloc[:, position].isna().all())
    ]
    if empty and len(frame):
        issues = [
            *issues,
            Issue("empty_column", None, len(empty), f"{len(empty)} columns without name and values dropped"),
        ]
        frame = frame.iloc[:, [position for position in range(len(names)) if position not in set(empty)]]
        names = [column for position, column in enumerate(names) if position not in set(empty)]
    named = frame.set_axis([column or f"Unnamed: {position}" for position, column in enumerate(names)], axis=1)
    named = named.reset_index(drop=True)
    if len(named) < min_rows:
        came = "only a header" if len(named) == 0 else f"{len(named)} row"
        raise InvalidInput(
            f"expected at least {min_rows} rows below the header, got {came} in {name}; check the export"
        )
    if named.shape[1] < min_columns:
        raise InvalidInput(
            f"expected at least {min_columns} columns, got {named.shape[1]} in {name}; "
            "check the separator (comma, semicolon, tab or |)"
        )
    return RawTable(named, tuple(issues))


def _parse(body: bytes, name: str) -> tuple[pd.DataFrame, list[Issue]]:
    suffix = Path(name).suffix.lower()
    if suffix in _PARQUET or (suffix in _TEXT and body.startswith(b"PAR1")):
        return _typed(lambda: parquet.read_table(pa.BufferReader(body)), name, "Parquet"), []
    if suffix in _ARROW or (suffix in _TEXT and body.startswith(b"ARROW1")):
        return _typed(lambda: feather.read_table(pa.BufferReader(body)), name, "Feather/Arrow"), []
    if suffix in _EXCEL:
        return _excel(body, name), []
    if suffix not in _TEXT and b"\x00" in body[:8192]:
        raise InvalidInput(f"expected {ACCEPTED}, got {name}; convert it first")
    return read_delimited(body, name)


def _typed(read: Callable[[], pa.Table], name: str, what: str) -> pd.DataFrame:
    try:
        table = read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:150].rstrip(".") if str(error) else type(error).__name__
        raise InvalidInput(f"expected a readable {what} file, got {name}: {reason}; write it again") from error
    names = table.column_names
    # Positions instead of names, because the file may hold one name twice and pandas metadata may hide an index.
    bare = table.rename_columns([f"c{position}" for position in range(len(names))]).replace_schema_metadata(None)
    frame: pd.DataFrame = bare.to_pandas()
    frame.columns = pd.Index(names, dtype=object)
    return frame


def _excel(body: bytes, name: str) -> pd.DataFrame:
    try:
        return pd.read_excel(io.BytesIO(body), engine="openpyxl", header=None, dtype=object).pipe(_promote_header)
    except ImportError as error:
        raise InvalidInput(
            f"expected openpyxl to read the Excel file {name}, it is not installed; pip install 'mle-star-mcp[excel]'"
        ) from error
    except (ValueError, KeyError, zipfile.BadZipFile, OSError) as error:
        raise InvalidInput(
            f"expected a readable Excel file, got {name}: {error}; save it again as .xlsx or CSV"
        ) from error


def _promote_header(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) == 0:
        return frame
    header = ["" if pd.isna(cell) else str(cell) for cell in frame.iloc[0]]
    return frame.iloc[1:].set_axis(pd.Index(header, dtype=object), axis=1).infer_objects()


def _decompress(body: bytes, name: str) -> tuple[bytes, str]:
    suffix = Path(name).suffix.lower()
    inner = name[: -len(suffix)] if suffix else name
    try:
        if suffix == ".gz" or (suffix in _TEXT and body.startswith(b"\x1f\x8b")):
            return gzip.decompress(body), inner if suffix == ".gz" else name
        if suffix == ".bz2":
            return bz2.decompress(body), inner
        if suffix == ".xz":
            return lzma.decompress(body), inner
        if suffix == ".zst":
            with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
                return stream.read(), inner
        if suffix == ".zip":
            return _only_member(body, name)
    except InvalidInput:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
    ) as error:
        raise InvalidInput(
            f"expected a {suffix} file, got broken bytes in {name}: {error}; compress it again"
        ) from error
    return body, name


def _only_member(body: bytes, name: str) -> tuple[bytes, str]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        members = [
            info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise InvalidInput(
                f"expected one table in the archive, got {len(members)} files in {name}; extract the one you mean"
            )
        if members[0].flag_bits & 1:
            raise InvalidInput(f"expected an open archive, got one with a password: {name}; extract it first")
        return archive.read(members[0]), members[0].filename
