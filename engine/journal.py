"""The append-only record of a run: one SQLite file, written by the worker, read by anyone at the same time.

Every decision is a function of the journal, so a run resumes by reading it. Entries are never changed or removed.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
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


@dataclass(frozen=True)
class Entry:
    """One line of the journal; `at` is seconds since the epoch."""

    seq: int
    at: float
    kind: str
    body: dict[str, Any]


class Journal:
    """Append and read entries. Safe for several processes and threads: each call uses its own short connection.

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
        with closing(self._connect()) as connection, connection:
            seq, at = connection.execute(
                "INSERT INTO entries (at, kind, body) "
                "SELECT max(?, coalesce((SELECT at FROM entries ORDER BY seq DESC LIMIT 1), 0)), ?, ? RETURNING seq, at",
                (time.time(), kind, _to_json(body)),
            ).fetchone()
        return Entry(seq, at, kind, body)

    def read(self, *kinds: str, after: int = 0) -> Iterator[Entry]:
        """Yield entries of these kinds (all without one) with a sequence number above `after`, oldest first."""
        if not self.path.exists():
            return
        where = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        with closing(self._connect()) as connection:
            rows = connection.execute(
                f"SELECT seq, at, kind, body FROM entries WHERE seq > ?{where} ORDER BY seq",  # noqa: S608
                (after, *kinds),
            ).fetchall()
        for seq, at, kind, body in rows:
            yield Entry(seq, at, kind, json.loads(body))

    def last(self, *kinds: str) -> Entry | None:
        """Return the newest entry of these kinds, or None."""
        if not self.path.exists():
            return None
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        with closing(self._connect()) as connection:
            row = connection.execute(
                f"SELECT seq, at, kind, body FROM entries{where} ORDER BY seq DESC LIMIT 1",  # noqa: S608
                kinds,
            ).fetchone()
        return Entry(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10.0)
        # Not "is the file new": another process may have created the file a moment ago and not yet the tables.
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries_kind'").fetchone() is None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection


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
