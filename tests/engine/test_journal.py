"""The journal: append-only, read by others while it is written, and never lost to a number without a value."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
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


def test_times_never_fall_though_the_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    clock = iter([100.0, 99.0, 101.0])
    monkeypatch.setattr("mle_star.engine.journal.time.time", lambda: next(clock))
    written = [journal.append("note", {}) for _ in range(3)]
    assert [entry.at for entry in written] == [100.0, 100.0, 101.0]
    assert list(journal.read()) == written


def test_entries_of_many_threads_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: journal.append("note", {"number": number}), range(64)))
    entries = list(journal.read())
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert sorted(written, key=lambda entry: entry.seq) == entries


def test_a_journal_that_was_removed_and_made_again_is_read_anew(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / "run"
        folder.mkdir()
        journal = Journal(folder / "journal.sqlite")
        journal.append("note", {"number": number})
        assert [entry.body["number"] for entry in journal.read()] == [number]
        shutil.rmtree(folder)
        assert list(journal.read()) == []


def test_more_journals_than_are_kept_open_are_read_by_many_threads(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / f"{number}.sqlite") for number in range(90)]
    for number, journal in enumerate(journals):
        journal.append("note", {"number": number})

    def number_in(journal: Journal) -> int:
        last = journal.last("note")
        assert last is not None
        return int(last.body["number"])

    before = len(list(Path("/dev/fd").iterdir()))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(number_in, journals)) == list(range(90))
    assert len(list(Path("/dev/fd").iterdir())) - before < 250


def test_processes_that_begin_a_journal_at_once_and_one_that_reads_it_do_not_disturb_each_other(tmp_path: Path) -> None:
    write = (
        "import sys\nfrom pathlib import Path\nfrom mle_star.engine.journal import Journal\nprint('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for number in range(8):\n"
        "    Journal(Path(sys.argv[1]) / f'{number}.sqlite').append('note', {})\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", write, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    journals = [Journal(tmp_path / f"{number}.sqlite") for number in range(8)]
    while any(writer.poll() is None for writer in writers):
        assert all(len(list(journal.read())) <= 3 for journal in journals)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert [len(list(journal.read())) for journal in journals] == [3] * 8
