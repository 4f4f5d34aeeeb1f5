"""What ends a job from outside, and what is said when the machine's clock or disk misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mle_star.engine.run import RunFolder, create_run
from mle_star.server import bounds
from mle_star.server.bounds import DiskFull
from mle_star.server.calls import Caller, running_report
from mle_star.server.job_state import read_state
from mle_star.server.jobs import Jobs
from mle_star.server.run_state import run_state
from mle_star.server.settings import Settings
from mle_star.tools import get_run, list_runs
from mle_star.tools.contract import JobRequest, Report, Tool
from served import group_members, structured, until

pytestmark = pytest.mark.anyio

DISK_MB = 24


@pytest.fixture
def small_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder on a disk of its own, of a few megabytes."""
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(home)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    monkeypatch.setattr(bounds, "LEAST_FREE_MB", 12)
    monkeypatch.setattr(bounds, "STOP_BELOW_MB", 8)
    yield home
    # Lazily: a worker that is just leaving may still have its log open.
    subprocess.run(["umount", "-l", str(home)], check=True)


class ScriptedRequest(JobRequest):
    course: str = "finish"


WORK = Tool("work", "Work", "Scripted.", ScriptedRequest, Report, work=lambda request, experiment: Report())


async def nobody(worked_s: float, budget_s: float | None, message: str) -> None:
    """Take no notice."""


async def test_no_job_begins_where_the_disk_has_no_room_for_it(
    small_disk: Path, jobs: Jobs, settings: Settings
) -> None:
    run = create_run(small_disk, "test")
    (small_disk / "other").write_bytes(bytes((DISK_MB - 8) * 2**20))
    with pytest.raises(DiskFull, match=r"only \d+ MB are free on the disk of the home folder, and a job needs 12 MB"):
        await jobs.submit(run, "work", {})
    assert jobs.state(run) is None
    (small_disk / "other").unlink()
    job_id = await jobs.submit(run, "work", {})
    assert (await jobs.wait(run, job_id, 20)).status == "finished"


@pytest.mark.slow
async def test_a_job_that_fills_the_disk_is_ended_before_it_is_full_and_resumes_when_there_is_room(
    small_disk: Path, jobs: Jobs
) -> None:
    run = create_run(small_disk, "test")
    job_id = await jobs.submit(run, "work", {"course": "fill the disk slowly"})
    state = await jobs.wait(run, job_id, 30)
    assert state.status == "failed"
    assert state.error is not None
    assert "MB are free on the disk" in state.error.message
    assert "it resumes" in state.error.message
    assert not group_members(state.pid)
    (run.path / "filler").unlink()
    job_id = await jobs.submit(run, "work", {})
    assert (await jobs.wait(run, job_id, 20)).status == "finished"


async def test_a_disk_that_is_full_at_once_leaves_a_run_that_can_be_read_and_resumed(
    small_disk: Path, jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Faster than anybody looks: not even the end of the job can be written.
    monkeypatch.setattr(bounds, "STOP_BELOW_MB", 0)
    run = create_run(small_disk, "test")
    caller = Caller(settings, jobs)
    asked = {"run_id": run.run_id, "course": "fill the disk", "wait_s": 20}
    result = await caller.call(WORK, asked, nobody)
    assert result.is_error
    assert "free some space" in result.content[0].text  # type: ignore[union-attr]
    (run.path / "filler").unlink()
    with anyio.fail_after(10):
        # The worker leaves when it has seen that it cannot record its end.
        while (state := jobs.state(run)) is not None and state.status == "running":
            await anyio.sleep(0.02)
    assert [entry.body["number"] for entry in run.journal.read("evaluation")] == [0]
    again = await caller.call(WORK, {"run_id": run.run_id, "wait_s": 20}, nobody)
    assert structured(again)["status"] == "finished"


@pytest.mark.slow
async def test_a_worker_that_gives_no_sign_of_life_is_replaced_once(
    jobs: Jobs, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HUNG_S", 1.5)
    job_id = await jobs.submit(run, "work", {"course": "stop itself"})
    await until(lambda: sum(1 for _ in run.journal.read("evaluation")) == 2, 20)
    state = await jobs.wait(run, job_id, 20)
    assert state.status == "interrupted"
    assert not group_members(state.pid)


@pytest.mark.slow
async def test_a_worker_that_works_for_long_without_a_word_is_left_alone(
    jobs: Jobs, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HUNG_S", 1.0)
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    await until(lambda: run.journal.last("progress") is not None, 20)
    state = await jobs.wait(run, job_id, 2.5)
    assert state.status == "running"
    assert sum(1 for _ in run.journal.read("job_started")) == 1


async def test_the_death_of_a_worker_is_seen_by_another_server_within_five_seconds(
    jobs: Jobs, run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own server would resume it.
    monkeypatch.setattr(Jobs, "_resume", lambda *_: None)
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    await until(lambda: run.journal.last("progress") is not None, 20)
    other = Jobs(settings)
    state = other.state(run)
    assert state is not None
    assert state.status == "running"
    os.kill(state.pid, signal.SIGKILL)
    began = time.monotonic()
    assert (await other.wait(run, job_id, 10)).status == "interrupted"
    assert time.monotonic() - began < 5
    listed = structured(await Caller(settings, other).call(list_runs.TOOL, {}, nobody))
    assert [row["status"] for row in listed["runs"]] == ["interrupted"]


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0], ids=["back", "forth"])
@pytest.mark.slow
async def test_a_jump_of_the_clock_shows_nowhere(
    jobs: Jobs, run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    told: list[float] = []

    async def tell(worked_s: float, budget_s: float | None, message: str) -> None:
        told.append(worked_s)

    job_id = await jobs.submit(run, "work", {"course": "a while"})
    await until(lambda: run.journal.last("progress") is not None, 20)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)
    caller = Caller(settings, jobs)
    report = structured(await caller.call(get_run.TOOL, {"run_id": run.run_id}, nobody))
    assert 0 <= report["seconds"] < 30
    assert 0 < report["progress"]["seconds_left"] <= 60
    state = jobs.state(run, job_id)
    assert state is not None
    assert "-" not in running_report(run, state).summary
    elsewhere = run_state(run)["seconds"]
    assert elsewhere >= 0, "another server has only the clock of the wall"
    await caller.call(get_run.TOOL, {"run_id": run.run_id, "wait_s": 20}, tell)
    assert told == sorted(told)
    assert all(0 <= worked < 30 for worked in told)
    state = jobs.state(run, job_id)
    assert state is not None
    assert state.status == "finished"
    assert state.ended_at is not None
    assert state.ended_at >= state.started_at


async def test_the_journal_keeps_its_order_when_the_clock_is_set_back(
    jobs: Jobs, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of a time to come, as a clock that was wrong has left them."""
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + 1e6)
    run.journal.append("budget", {"time_budget_s": 60})
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    await until(lambda: run.journal.last("progress") is not None, 20)
    state = read_state(run, job_id)
    assert state is not None
    assert state.worked_s == 0.0
    with anyio.fail_after(3):
        cancelled = await jobs.cancel(run)
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    times = [entry.at for entry in run.journal.read()]
    assert times == sorted(times)


async def test_cancelling_in_the_middle_of_writing_leaves_a_journal_that_can_be_read(
    jobs: Jobs, run: RunFolder
) -> None:
    for times in (1, 2, 3):
        await jobs.submit(run, "work", {"course": "keep writing"})
        await until(lambda: sum(1 for _ in run.journal.read("evaluation")) == times, 20)  # noqa: B023
        with anyio.fail_after(2.5):
            state = await jobs.cancel(run)
        assert state is not None
        assert state.status == "cancelled"
    entries = list(run.journal.read())
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert {len(entry.body["text"]) for entry in entries if entry.kind == "written"} == {10_000}
