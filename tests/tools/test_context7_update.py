"""context7_update: a note goes into a window, the balanced window comes back, bounds hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mle_star.engine.errors import NotFound
from mle_star.engine.run import create_run
from mle_star.engine.windows import CAPACITY_TOKENS, MAX_NOTE_CHARACTERS, TITLES, read_window
from mle_star.tools.context7_update import TOOL, ContextRequest, answer
from mle_star.tools.workspace import Workspace
from pydantic import ValidationError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    create_run(tmp_path, "telco")
    return Workspace(tmp_path)


@pytest.mark.parametrize("number", TITLES)
def test_a_note_is_in_its_window_and_comes_back(workspace: Workspace, number: int) -> None:
    report = answer(ContextRequest(window=number, content="Decided to keep ids.", priority=4), workspace)
    assert report.title == TITLES[number]
    assert report.in_full == [report.entry]
    assert "> Decided to keep ids." in report.content
    assert report.windows_changed == [number]
    assert [shown.entry.seq for shown in read_window(workspace.run(None).journal, number).shown] == [report.entry]


def test_a_full_window_balances_and_the_report_stays_small(workspace: Workspace) -> None:
    important = answer(ContextRequest(window=5, content="Never drop this. " + "y" * 500, priority=5), workspace)
    for number in range(40):
        report = answer(
            ContextRequest(window=5, content=f"Idea {number}. " + "x" * 900, priority=number % 4), workspace
        )
        assert report.tokens <= CAPACITY_TOKENS
        assert len(json.dumps(report.model_dump(mode="json"), ensure_ascii=False)) / 3.5 <= 2_000
    assert important.entry in report.in_full
    assert report.condensed
    assert f"/windows/{5}" in report.content


def test_it_says_when_the_note_itself_was_condensed(workspace: Workspace) -> None:
    for _ in range(5):
        answer(ContextRequest(window=2, content="Old. " + "x" * 3_000, priority=5), workspace)
    report = answer(ContextRequest(window=2, content="New. " + "x" * 3_000, priority=0), workspace)
    assert "condensed to its headline" in report.summary or "in the journal only" in report.summary
    assert report.entry not in report.in_full


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"window": 0, "content": "x"}, "window"),
        ({"window": 8, "content": "x"}, "window"),
        ({"window": 1, "content": "x", "priority": 9}, "priority"),
        ({"window": 1, "content": "x", "priority": -1}, "priority"),
        ({"window": 1, "content": ""}, "content"),
        ({"window": 1, "content": " \n "}, "content"),
        ({"window": 1, "content": "x" * (MAX_NOTE_CHARACTERS + 1)}, "content"),
    ],
)
def test_bounds_are_refused_by_name(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ContextRequest(**arguments)  # type: ignore[arg-type]
    assert refused.value.errors()[0]["loc"] == (field,)


def test_without_a_run_it_says_what_to_call(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="profile_dataset"):
        answer(ContextRequest(window=1, content="x"), Workspace(tmp_path))


def test_the_description_fits() -> None:
    assert len(TOOL.description) <= 300
