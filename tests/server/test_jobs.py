"""Jobs with real worker processes: joined, waited for, cancelled, killed, and never left behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from mle_star.engine.errors import Busy
from mle_star.engine.journal import Entry, Journal
from mle_star.engine.run import RunFolder
from mle_star.server.job_state import JobState
from mle_star.server.jobs import Jobs
from mle_star.server.ownership import lock_of_dead, take_for
from mle_star.server.settings import Settings

pytestmark = pytest.mark.anyio


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int, within_s: float = 3.0) -> bool:
    """Wait for a process to leave."""
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        await anyio.sleep(0.02)
    return not alive(pid)


async def until_begun(run: RunFolder, kind: str = "progress") -> dict[str, Any]:
    """Wait for the work's first word."""
    with anyio.fail_after(20):
        while (entry := run.journal.last(kind)) is None:
            await anyio.sleep(0.02)
    return entry.body


async def outcome(jobs: Jobs, run: RunFolder, course: str, **arguments: Any) -> JobState:
    job_id = await jobs.submit(run, "work", {"course": course, **arguments})
    return await jobs.wait(run, job_id, 20)


async def test_a_finished_job_hands_back_its_report(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "finish")
    assert state.status == "finished"
    assert state.report is not None
    assert state.report["summary"] == "work on 1 threads, home"


async def test_progress_reaches_who_waits_in_order(jobs: Jobs, run: RunFolder) -> None:
    told: list[dict[str, Any]] = []

    async def tell(event: dict[str, Any]) -> None:
        told.append(event)

    job_id = await jobs.submit(run, "work", {"course": "a while"})
    await jobs.wait(run, job_id, 20, tell)
    assert [event["done"] for event in told] == [0, 1]


async def test_waiting_is_bounded(jobs: Jobs, run: RunFolder) -> None:
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    began = time.monotonic()
    state = await jobs.wait(run, job_id, 0.3)
    assert state.status == "running"
    assert time.monotonic() - began < 2


async def test_the_same_call_joins_the_job_in_flight_and_another_is_refused(jobs: Jobs, run: RunFolder) -> None:
    first = await jobs.submit(run, "work", {"course": "hang", "wait_s": 1})
    assert await jobs.submit(run, "work", {"course": "hang", "wait_s": 2, "detail": "full"}) == first
    with pytest.raises(Busy, match=r"work is still working on run_test_0001 .* get_run\(run_id='run_test_0001'"):
        await jobs.submit(run, "other", {})


async def test_an_outcome_nobody_saw_is_joined_and_one_that_was_told_is_not(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "finish")
    assert await jobs.submit(run, "work", {"course": "finish"}) == state.job_id
    jobs.mark_delivered(run, state)
    assert await jobs.submit(run, "work", {"course": "finish"}) != state.job_id


async def test_cancelling_ends_the_whole_group_and_keeps_what_was_done(jobs: Jobs, run: RunFolder) -> None:
    job_id = await jobs.submit(run, "work", {"course": "hang with a child"})
    child = (await until_begun(run, "child"))["pid"]
    began = time.monotonic()
    state = await jobs.cancel(run)
    assert time.monotonic() - began < 2
    assert state is not None
    assert (state.status, state.job_id) == ("cancelled", job_id)
    assert await gone(child)
    assert len(list(run.journal.read("evaluation"))) == 1


async def test_a_worker_that_ignores_the_request_is_killed(jobs: Jobs, run: RunFolder) -> None:
    await jobs.submit(run, "work", {"course": "ignore the request to end"})
    worker = (await until_begun(run, "child"))["pid"]
    state = await jobs.cancel(run)
    assert state is not None
    assert state.status == "cancelled"
    assert await gone(worker)


async def test_another_server_sees_the_job_and_can_cancel_it(jobs: Jobs, run: RunFolder, settings: Settings) -> None:
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    other = Jobs(settings)
    state = other.state(run)
    assert state is not None
    assert (state.status, state.job_id) == ("running", job_id)
    assert await other.submit(run, "work", {"course": "hang"}) == job_id
    cancelled = await other.cancel(run)
    assert cancelled is not None
    assert cancelled.status == "cancelled"


async def test_a_killed_worker_is_replaced_once_then_reads_as_interrupted(jobs: Jobs, run: RunFolder) -> None:
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    await until_begun(run)
    first = jobs.state(run)
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    with anyio.fail_after(10):
        while sum(1 for _ in run.journal.read("evaluation")) < 2:
            seen = jobs.state(run, job_id)
            assert seen is not None
            assert seen.status == "running"
            await anyio.sleep(0.02)
    state = jobs.state(run)
    assert state is not None
    assert (state.job_id, state.pid != first.pid) == (job_id, True)
    os.kill(state.pid, signal.SIGKILL)
    began = time.monotonic()
    state = await jobs.wait(run, job_id, 10)
    assert time.monotonic() - began < 1.5
    assert state.status == "interrupted"
    assert state.error is not None
    assert "the same call resumes" in state.error.message
    assert await jobs.submit(run, "work", {"course": "hang"}) != job_id


async def test_a_waiting_call_gets_the_outcome_of_the_work_that_went_on(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "die once")
    assert state.status == "finished"
    assert sum(1 for _ in run.journal.read("evaluation")) == 2


async def test_work_that_was_done_but_for_its_end_is_not_done_again(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "report and die")
    assert (state.status, state.report) == ("finished", {"summary": "reported"})
    assert sum(1 for _ in run.journal.read("evaluation")) == 1
    jobs.mark_delivered(run, state)
    await outcome(jobs, run, "report and die")
    assert sum(1 for _ in run.journal.read("evaluation")) == 2, "once it was told, the same call is new work"


async def test_work_that_always_kills_its_worker_is_given_up(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "die")
    assert state.status == "interrupted"
    assert sum(1 for _ in run.journal.read("evaluation")) == 2


async def test_calls_at_once_on_interrupted_work_all_get_its_outcome(
    run: RunFolder, jobs: Jobs, settings: Settings
) -> None:
    before, elsewhere = (Jobs(settings, perform="scripted_work:perform") for _ in range(2))
    await before.submit(run, "work", {"course": "a while"})
    await until_begun(run)
    before.shutdown()
    ids: list[str] = []

    async def again(server: Jobs) -> None:
        ids.append(await server.submit(run, "work", {"course": "a while"}))

    try:
        async with anyio.create_task_group() as calls:
            for server in (jobs, elsewhere, jobs, elsewhere):
                calls.start_soon(again, server)
        assert len(set(ids)) == 1
        assert (await jobs.wait(run, ids[0], 20)).status == "finished"
    finally:
        elsewhere.shutdown()


async def test_a_job_about_to_begin_is_not_taken_for_the_dead_one_before_it(jobs: Jobs, run: RunFolder) -> None:
    job_id = await jobs.submit(run, "work", {"course": "hang"})
    jobs.shutdown()
    assert (await jobs.wait(run, job_id, 3)).status == "interrupted"
    lock = lock_of_dead(run, job_id, 3)
    assert lock is not None
    try:
        assert jobs.state(run, job_id).status == "running"  # type: ignore[union-attr]
        take_for(lock, "job_002")
        assert jobs.state(run, job_id).status == "interrupted"  # type: ignore[union-attr]
    finally:
        os.close(lock)


async def test_an_end_that_nobody_could_write_is_told_once_and_the_same_call_is_new_work(
    jobs: Jobs, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(journal: Journal, kind: str, body: dict[str, Any]) -> Entry:
        raise sqlite3.OperationalError("database or disk is full")

    state = await outcome(jobs, run, "no room for a record")
    assert (state.status, state.job_id) == ("failed", "job_001")
    with monkeypatch.context() as disk:
        disk.setattr(Journal, "append", full)
        with pytest.raises(sqlite3.OperationalError):
            jobs.mark_delivered(run, state)
    assert await jobs.submit(run, "work", {"course": "no room for a record"}) == "job_002"


async def test_a_refusal_of_the_work_is_passed_on_word_for_word(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "refuse")
    assert state.status == "failed"
    assert state.error is not None
    assert (state.error.kind, state.error.message) == ("invalid", "expected a table, got a teapot")


async def test_a_crash_goes_to_the_log_and_not_to_the_client(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "crash")
    assert state.error is not None
    assert state.error.kind == "error"
    assert "KeyError" in state.error.message
    assert "secret" not in state.error.message
    assert str(run.path.parent) not in state.error.message
    assert "Traceback" in run.log_path.read_text()


async def test_a_full_disk_is_named(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "disk full")
    assert state.error is not None
    assert "free some space" in state.error.message


async def test_a_job_that_fills_memory_is_ended_with_a_typed_failure(jobs: Jobs, run: RunFolder) -> None:
    state = await outcome(jobs, run, "eat memory")
    assert state.status == "failed"
    assert state.error is not None
    assert state.error.kind == "memory"
    assert "400 MB" in state.error.message
    assert "Use fewer rows or columns" in state.error.message
    jobs.mark_delivered(run, state)
    assert (await outcome(jobs, run, "finish")).status == "finished"


async def test_a_job_that_overruns_its_budget_is_ended(
    jobs: Jobs, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mle_star.server.bounds.OVERRUN_S", 0.5)
    state = await outcome(jobs, run, "hang", time_budget_s=0.5)
    assert state.status == "failed"
    assert state.error is not None
    assert state.error.kind == "timeout"


async def test_shutdown_leaves_no_process(jobs: Jobs, run: RunFolder) -> None:
    await jobs.submit(run, "work", {"course": "hang with a child"})
    child = (await until_begun(run, "child"))["pid"]
    state = jobs.state(run)
    assert state is not None
    jobs.shutdown()
    assert await gone(child)
    assert await gone(state.pid)
    # A process counts as gone while its last threads still hold the lock, for some milliseconds.
    assert (await jobs.wait(run, state.job_id, 3)).status == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_does_not_outlive_its_server(
    jobs: Jobs, run: RunFolder, home: Path, number: signal.Signals
) -> None:
    server = (
        "import anyio, sys\nfrom pathlib import Path\nfrom mle_star.engine.run import RunFolder\n"
        "from mle_star.server.jobs import Jobs\nfrom mle_star.server.settings import Settings\n"
        "async def main():\n"
        "    jobs = Jobs(Settings(home=Path(sys.argv[1])), perform='scripted_work:perform')\n"
        "    await jobs.submit(RunFolder(Path(sys.argv[2])), 'work', {'course': 'hang with a child'})\n"
        "    await anyio.sleep(600)\n"
        "anyio.run(main)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", server, str(home), str(run.path)])
    try:
        child = (await until_begun(run, "child"))["pid"]
        state = jobs.state(run)
        assert state is not None
        process.send_signal(number)
        process.wait(10)
    finally:
        process.kill()
        process.wait()
    assert await gone(state.pid)
    assert await gone(child)
    assert (await jobs.wait(run, state.job_id, 3)).status == "interrupted"
