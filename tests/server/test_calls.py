"""Tool calls on jobs with scripted work: joined runs, bounded waits, and nothing left of a run that never opened."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.calls import Caller
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings
from mle_star.tools import cancel_run, get_run, list_runs, profile_dataset
from mle_star.tools.contract import JobRequest, Report, Tool

pytestmark = pytest.mark.anyio


class ScriptedRequest(JobRequest):
    course: str = "finish"


WORK = Tool(
    name="work",
    title="Work",
    description="Scripted.",
    request=ScriptedRequest,
    report=Report,
    work=lambda request, experiment: Report(),
)


@pytest.fixture
def caller(settings: Settings, jobs: Jobs) -> Caller:
    return Caller(settings, jobs)


@pytest.fixture
def table(data: Path) -> Path:
    path = data / "churn.csv"
    path.write_text("a,y\n1,2\n")
    return path


async def nobody(worked_s: float, budget_s: float | None, message: str) -> None:
    """Take no notice."""


async def call(caller: Caller, tool: Tool, **arguments: Any) -> CallToolResult:
    return await caller.call(tool, arguments, nobody)


def text(result: CallToolResult) -> str:
    return str(result.content[0].text)  # type: ignore[union-attr]


def runs(home: Path) -> list[Path]:
    return list(home.glob("runs/*"))


async def test_a_slow_call_answers_in_time_with_the_next_call(caller: Caller, run: RunFolder) -> None:
    with anyio.fail_after(5):
        result = await call(caller, WORK, course="hang", wait_s=0.5)
    assert result.structured_content is not None
    assert result.structured_content["status"] == "running"
    assert result.structured_content["next"] == "get_run(run_id='run_test_0001', wait_s=45)"
    assert result.structured_content["progress"]["message"] == "begun"


async def test_get_run_waits_for_the_job_that_a_call_left_at_work(caller: Caller, run: RunFolder) -> None:
    await call(caller, WORK, course="a while", wait_s=0)
    first = await call(caller, get_run.TOOL, wait_s=20)
    assert first.structured_content is not None
    assert (first.structured_content["status"], first.structured_content["job"]) == ("finished", "work")


async def test_a_cancelled_call_leaves_the_job_at_work(caller: Caller, jobs: Jobs, run: RunFolder) -> None:
    with anyio.move_on_after(1.5):
        await call(caller, WORK, course="hang", wait_s=60)
    state = jobs.state(run)
    assert state is not None
    assert state.status == "running"
    ended = await call(caller, cancel_run.TOOL)
    assert ended.structured_content is not None
    assert ended.structured_content["status"] == "cancelled"


async def test_progress_is_told_while_waiting(caller: Caller, run: RunFolder) -> None:
    told: list[tuple[float, str]] = []

    async def tell(worked_s: float, budget_s: float | None, message: str) -> None:
        told.append((worked_s, message))

    await caller.call(WORK, {"course": "a while", "wait_s": 20}, tell)
    assert [message for _, message in told] == ["work 0/2: begun", "work 1/2: half"]
    assert told[0][0] < told[1][0]


async def test_json_text_and_numbers_for_text_are_read(caller: Caller, run: RunFolder) -> None:
    result = await call(caller, WORK, course=7, wait_s="20")
    assert not result.is_error, text(result)


async def test_a_crash_is_one_sentence(caller: Caller, run: RunFolder, home: Path) -> None:
    result = await call(caller, WORK, course="crash")
    assert result.is_error
    assert text(result) == (
        "work failed unexpectedly (KeyError); the details are in runs/run_test_0001/worker.log in the home folder. "
        "The same call tries again"
    )


async def test_a_profile_that_fails_leaves_no_run_but_the_log_of_a_crash(
    caller: Caller, home: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_profiles(monkeypatch, "crash")
    result = await call(caller, profile_dataset.TOOL, path=str(table), target="y")
    assert "logs/run_churn_0001.log in the home folder" in text(result)
    assert runs(home) == []
    assert "Traceback" in (home / "logs" / "run_churn_0001.log").read_text()
    _let_profiles(monkeypatch, "refuse")
    result = await call(caller, profile_dataset.TOOL, path=str(table), target="y")
    assert text(result) == "expected a table, got a teapot"
    assert runs(home) == []


async def test_a_profile_at_work_is_joined_and_an_interrupted_one_goes_on_in_its_run(
    caller: Caller, jobs: Jobs, home: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_profiles(monkeypatch, "hang")
    first = await call(caller, profile_dataset.TOOL, path=str(table), target="y", wait_s=0)
    await call(caller, profile_dataset.TOOL, path=str(table), target="y", wait_s=0)
    (path,) = runs(home)
    for times in (1, 2):
        with anyio.fail_after(10):
            while sum(1 for _ in RunFolder(path).journal.read("evaluation")) < times:
                await anyio.sleep(0.02)
        state = jobs.state(RunFolder(path))
        assert state is not None
        os.kill(state.pid, signal.SIGKILL)
    ended = await jobs.wait(RunFolder(path), state.job_id, 5)
    assert ended.status == "interrupted"
    again = await call(caller, profile_dataset.TOOL, path=str(table), target="y", wait_s=0)
    assert first.structured_content is not None
    assert again.structured_content is not None
    assert again.structured_content["run_id"] == first.structured_content["run_id"]
    assert len(runs(home)) == 1


async def test_a_cancelled_profile_leaves_no_run(
    caller: Caller, home: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_profiles(monkeypatch, "hang")
    await call(caller, profile_dataset.TOOL, path=str(table), target="y", wait_s=0)
    await call(caller, cancel_run.TOOL)
    assert runs(home) == []


async def test_a_profile_waits_for_its_turn_says_its_place_and_leaves_no_run_when_cancelled(
    caller: Caller, home: Path, table: Path
) -> None:
    for name in ("one", "two"):
        run = create_run(home, name)
        await call(caller, WORK, run_id=run.run_id, course="hang", wait_s=0)
    told: list[str] = []

    async def tell(worked_s: float, budget_s: float | None, message: str) -> None:
        told.append(message)

    asked = {"path": str(table), "target": "y", "wait_s": 0.6}
    result = await caller.call(profile_dataset.TOOL, asked, tell)
    assert result.structured_content is not None
    assert result.structured_content["status"] == "running"
    assert "waits for its turn" in result.structured_content["summary"]
    assert result.structured_content["progress"]["phase"] == "queued"
    assert result.structured_content["progress"]["message"] == "1st in line behind 2 at work"
    assert told == ["queued: 1st in line behind 2 at work"]
    seen = (await call(caller, get_run.TOOL)).structured_content
    assert seen is not None
    assert (seen["status"], seen["progress"]["phase"]) == ("running", "queued")
    assert "1st in line" in seen["summary"]
    await call(caller, cancel_run.TOOL)
    assert len(runs(home)) == 2


async def test_a_running_answer_says_all_that_is_known(caller: Caller, run: RunFolder) -> None:
    asked = {"run_id": run.run_id, "course": "one score", "time_budget_s": 50}
    await call(caller, WORK, wait_s=0, **asked)
    with anyio.fail_after(20):
        while (newest := run.journal.last("progress")) is None or newest.body["done"] < 2:
            await anyio.sleep(0.02)
    for result in (await call(caller, WORK, wait_s=0, **asked), await call(caller, get_run.TOOL)):
        assert result.structured_content is not None
        progress = result.structured_content["progress"]
        assert (progress["phase"], progress["done"], progress["total"]) == ("work", 2, 3)
        assert progress["best_score"] == 0.75, "the best so far, though the newest event tells none"
        assert 0 < progress["seconds_left"] <= 50
        assert result.structured_content["next"].startswith("get_run(run_id=")


async def test_a_cancelled_request_leaves_the_work_going(caller: Caller, jobs: Jobs, run: RunFolder) -> None:
    """A client that disconnects in mid-call, or loses patience, has its request cancelled."""
    with anyio.move_on_after(0.3):
        await call(caller, WORK, run_id=run.run_id, course="a while", wait_s=60)
    result = await call(caller, WORK, run_id=run.run_id, course="a while", wait_s=20)
    assert result.structured_content is not None
    assert result.structured_content["status"] == "finished"
    assert sum(1 for _ in run.journal.read("job_started")) == 1


def _let_profiles(monkeypatch: pytest.MonkeyPatch, course: str) -> None:
    """The worker takes its course from the environment where the arguments have none."""
    monkeypatch.setenv("SCRIPTED_COURSE", course)


async def test_a_damaged_run_is_named_and_keeps_nothing_from_the_others(
    caller: Caller, home: Path, table: Path, run: RunFolder
) -> None:
    damaged = create_run(home, "damaged")
    damaged.journal.path.write_bytes(b"no database at all" * 300)
    listed = (await call(caller, list_runs.TOOL)).structured_content
    assert listed is not None
    assert run.run_id in {row["run_id"] for row in listed["runs"]}
    assert any(damaged.run_id in note for note in listed["notes"])
    opened = await call(caller, profile_dataset.TOOL, path=str(table), target="y", wait_s=10)
    assert not opened.is_error, text(opened)
