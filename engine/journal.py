"""The append-only record of a run: one SQLite file, written by the worker, read by anyone at the same time.

Every decision is a function of the journal, so a run resumes by reading it. Entries are never changed or removed.
"""

from __future__ import annotations

import atexit
import json
import math
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_kind ON entries (kind, seq);
"""


_PATIENCE_S = 10.0
_KEPT_OPEN = 28
"""Journals whose connection for reading is kept, with two or three open files each: those a server watches, and some more."""


@dataclass(frozen=True)
class Entry:
    """One line of the journal; `at` is seconds since the epoch."""

    seq: int
    at: float
    kind: str
    body: dict[str, Any]


class Journal:
    """Append and read entries. Safe for several processes and threads.

    Parameters
    ----------
    path : Path
        The SQLite file; created on the first append.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, body: dict[str, Any]) -> Entry:
        """Add an entry and return it; it is on disk when this returns.

        Times never fall from one entry to the next, though several threads write and a clock may be set back.
        """
        with closing(_connect(self.path)) as connection, connection:
            seq, at = connection.execute(
                "INSERT INTO entries (at, kind, body) "
                "SELECT max(?, coalesce((SELECT at FROM entries ORDER BY seq DESC LIMIT 1), 0)), ?, ? RETURNING seq, at",
                (time.time(), kind, _to_json(body)),
            ).fetchone()
        return Entry(seq, at, kind, body)

    def read(self, *kinds: str, after: int = 0) -> Iterator[Entry]:
        """Yield entries of these kinds (all without one) with a sequence number above `after`, oldest first."""
        where = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT seq, at, kind, body FROM entries WHERE seq > ?{where} ORDER BY seq"  # noqa: S608
        for seq, at, kind, body in _READERS.query(self.path, query, (after, *kinds)):
            yield Entry(seq, at, kind, json.loads(body))

    def last(self, *kinds: str) -> Entry | None:
        """Return the newest entry of these kinds, or None."""
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT seq, at, kind, body FROM entries{where} ORDER BY seq DESC LIMIT 1"  # noqa: S608
        rows = _READERS.query(self.path, query, kinds)
        return Entry(rows[0][0], rows[0][1], rows[0][2], json.loads(rows[0][3])) if rows else None


class _Readers:
    """Connections for reading, kept open, because to open one takes twenty times as long as a query does.

    A connection belongs to the file it was opened on: a journal that was removed and made again is opened anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, _Reader] = OrderedDict()

    def query(self, path: Path, query: str, values: Sequence[object]) -> list[tuple[int, float, str, str]]:
        """Return the rows; none where the file is gone."""
        try:
            status = path.stat()
            reader = self._of(path, (status.st_dev, status.st_ino))
        except (FileNotFoundError, NotADirectoryError):
            with self._lock:
                # Who still reads from it keeps it open until then.
                self._kept.pop(path, None)
            return []
        try:
            return reader.query(query, values)
        except sqlite3.Error as error:
            with self._lock:
                if self._kept.get(path) is reader:
                    del self._kept[path]
            if "no such table" in str(error):
                # Somebody is just making it; there is nothing to read yet.
                return []
            raise

    def _of(self, path: Path, file: tuple[int, int]) -> _Reader:
        with self._lock:
            reader = self._kept.get(path)
            if reader is None or reader.file != file:
                reader = self._kept[path] = _Reader(path, file)
            self._kept.move_to_end(path)
            if len(self._kept) > _KEPT_OPEN:
                self._kept.popitem(last=False)
        return reader

    def close(self) -> None:
        """Close all that nobody reads from."""
        with self._lock:
            self._kept.clear()


class _Reader:
    """One connection for reading, for any thread; it is closed when the last reference to it goes."""

    def __init__(self, path: Path, file: tuple[int, int]) -> None:
        self.file = file
        self._lock = threading.Lock()
        # To read never makes a file: it may have been removed a moment ago.
        address = f"{path.absolute().as_uri()}?mode=rw"
        try:
            self._connection = sqlite3.connect(address, uri=True, timeout=_PATIENCE_S, check_same_thread=False)
        except sqlite3.OperationalError as error:
            if path.exists():
                raise
            raise FileNotFoundError(path) from error
        # 256 KB instead of 2 MB: the system keeps the file in memory anyway, once for all processes.
        self._connection.execute("PRAGMA cache_size=-256")

    def query(self, query: str, values: Sequence[object]) -> list[tuple[int, float, str, str]]:
        """Return all rows at once, so that no transaction stays open."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def __del__(self) -> None:
        with suppress(AttributeError):
            self._connection.close()


_READERS = _Readers()
atexit.register(_READERS.close)


def _connect(path: Path) -> sqlite3.Connection:
    """Open for writing; makes the tables of a new file."""
    connection = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        _make_tables(connection)
        # An entry is on disk when its transaction ends, not only after the next checkpoint.
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    """Not "is the file new": another process may have made the file a moment ago and not yet the tables. While it does, SQLite
    refuses a change of the mode at once, whatever the patience."""
    until = time.monotonic() + _PATIENCE_S
    while connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries_kind'").fetchone() is None:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.005)


def _to_json(body: dict[str, Any]) -> str:
    """Write an entry as JSON. A number that is not finite becomes null: JSON has no word for it, and a record must not be lost."""
    try:
        return json.dumps(body, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(body), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
