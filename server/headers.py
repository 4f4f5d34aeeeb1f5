"""The column names of a text table, read without any library: for completions and questions. The worker reads tables for good."""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import suppress
from pathlib import Path

from ..engine.errors import MleStarError
from ..engine.names import tidy_name
from .paths import resolve_data_path
from .settings import Settings

TEXT_ENDINGS = (".csv", ".csv.gz", ".tsv")
HEADER_CHARACTERS = 65_536


def column_names(path: str, settings: Settings) -> list[str]:
    """Names in the order of the table; none for a file that may not be read, is none, or needs a library to be read."""
    with suppress(MleStarError, OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error):
        return _first_line(resolve_data_path(path, settings))
    return []


def _first_line(path: Path) -> list[str]:
    if not path.name.lower().endswith(TEXT_ENDINGS):
        return []
    with (
        gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as file
    ):
        header = file.read(HEADER_CHARACTERS).partition("\n")[0].rstrip("\r")
    separator = max(",;\t|", key=header.count)
    return [tidy_name(name) for name in next(csv.reader([header], delimiter=separator), [])]
