"""The journal: append-only, read by others while it is written, and never lost to a number without a value."""

from __future__ import annotations

import math
from pathlib import Path

from mle_star.engine.journal import Journal


def test_entries_come_back_in_order_and_by_kind(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.last() is None
    assert list(journal.read()) == []
    for number in range(3):
        journal.append("even" if number % 2 == 0 else "odd", {"number": number})
    assert [entry.body["number"] for entry in journal.read()] == [0, 1, 2]
    assert [entry.body["number"] for entry in journal.read("even")] == [0, 2]
    assert [entry.seq for entry in journal.read(after=1)] == [2, 3]
    last = Journal(tmp_path / "journal.sqlite").last("odd")
    assert last is not None
    assert last.body == {"number": 1}


def test_a_number_that_is_not_finite_is_recorded_as_missing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append("validation", {"p95": math.nan, "rows": [(1.0, math.inf)], "text": "NaN", "n": 3})
    last = journal.last("validation")
    assert last is not None
    assert last.body == {"p95": None, "rows": [[1.0, None]], "text": "NaN", "n": 3}
