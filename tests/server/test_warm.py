"""The worker in waiting: comes when nothing is at work, is used once, dies with its server, and can be switched off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from mle_star.engine.run import RunFolder
from mle_star.server.jobs import Jobs
from mle_star.server.memory import group_memory_mb
from mle_star.server.settings import Settings
from mle_star.server.warm import Spare
from served import group_members, until

pytestmark = pytest.mark.anyio

SCRIPTED = "scripted_work:perform"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"warm": True})


@pytest.fixture
async def spare(jobs: Jobs, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Spare]:
    """The one of `jobs`, kept as a server keeps it, and waiting."""
    home.mkdir(exist_ok=True)
    monkeypatch.setattr("mle_star.server.jobs.QUIET_S", 0.05)
    async with anyio.create_task_group() as group:
        group.start_soon(jobs.keep_warm)
        await until(lambda: jobs._spare.pid is not None, 10)
        yield jobs._spare
        group.cancel_scope.cancel()


async def finished(jobs: Jobs, run: RunFolder) -> int:
    """Do a job and return the process that did it."""
    job_id = await jobs.submit(run, "work", {})
    state = await jobs.wait(run, job_id, 20)
    assert state.status == "finished", state.error
    jobs.mark_delivered(run, state)
    return state.pid


async def test_it_takes_the_next_job_writes_to_its_log_and_is_replaced(
    jobs: Jobs, spare: Spare, run: RunFolder
) -> None:
    waiting = spare.pid
    assert await finished(jobs, run) == waiting
    log = run.log_path.read_text()
    assert "job_001 work begins" in log
    await until(lambda: spare.pid not in (None, waiting), 10)
    assert await finished(jobs, run) != waiting
    assert "job_002 work begins" in run.log_path.read_text()


async def test_nothing_is_started_while_something_is_at_work(jobs: Jobs, spare: Spare, run: RunFolder) -> None:
    await jobs.submit(run, "work", {"course": "a while"})
    for _ in range(20):
        assert spare.pid is None, "it would take processor time and memory from the job"
        await anyio.sleep(0.05)
    await until(lambda: spare.pid is not None, 10)


async def test_one_that_was_killed_is_not_handed_a_job(jobs: Jobs, spare: Spare, run: RunFolder) -> None:
    waiting = spare.pid
    assert waiting is not None
    os.kill(waiting, signal.SIGKILL)
    await until(lambda: not group_members(waiting), 5)
    assert await finished(jobs, run) != waiting


async def test_a_job_given_to_one_that_hangs_is_done_by_another(
    jobs: Jobs, spare: Spare, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mle_star.server.bounds.HUNG_S", 1.0)
    waiting = spare.pid
    assert waiting is not None
    os.kill(waiting, signal.SIGSTOP)
    assert await finished(jobs, run) != waiting
    assert not group_members(waiting)
    assert sum(1 for _ in run.journal.read("evaluation")) == 1


async def test_cancelling_its_job_ends_it_within_two_seconds(jobs: Jobs, spare: Spare, run: RunFolder) -> None:
    await jobs.submit(run, "work", {"course": "hang with a child"})
    await until(lambda: run.journal.last("child") is not None, 20)
    with anyio.fail_after(2):
        state = await jobs.cancel(run)
    assert state is not None
    assert state.status == "cancelled"
    assert not group_members(state.pid)


async def test_shutdown_ends_it(jobs: Jobs, spare: Spare) -> None:
    waiting = spare.pid
    assert waiting is not None
    jobs.shutdown()
    assert not group_members(waiting)
    assert not spare.wanted


async def test_one_that_holds_more_memory_than_a_job_may_is_given_up(
    settings: Settings, home: Path, jobs: Jobs
) -> None:
    home.mkdir(exist_ok=True)
    spare = Spare(settings.model_copy(update={"memory_mb": 1}), SCRIPTED)
    spare.keep()
    waiting = spare.pid
    assert waiting is not None
    await until(lambda: group_memory_mb(waiting) > 1, 5)
    spare.keep()
    assert not spare.wanted
    assert not group_members(waiting)


async def test_one_that_cannot_live_is_not_started_for_ever(settings: Settings, home: Path, jobs: Jobs) -> None:
    home.mkdir(exist_ok=True)
    spare = Spare(settings, SCRIPTED)
    while spare.wanted:
        spare.keep()
        if (pid := spare.pid) is not None:
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not group_members(pid), 5)


async def test_switched_off_none_comes(settings: Settings, home: Path) -> None:
    home.mkdir(exist_ok=True)
    jobs = Jobs(settings.model_copy(update={"warm": False}), SCRIPTED)
    with anyio.fail_after(5):
        await jobs.keep_warm()
    assert jobs._spare.pid is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_it_does_not_outlive_its_server(jobs: Jobs, home: Path, number: signal.Signals) -> None:
    server = (
        "import sys, time\nfrom pathlib import Path\nfrom mle_star.server.settings import Settings\n"
        "from mle_star.server.warm import Spare\n"
        "spare = Spare(Settings(home=Path(sys.argv[1])), 'mle_star.tools.workflow:perform')\n"
        "spare.keep()\nprint(spare.pid, flush=True)\ntime.sleep(600)\n"
    )
    home.mkdir(exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", server, str(home)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        waiting = int(await anyio.to_thread.run_sync(process.stdout.readline))
        assert group_members(waiting)
        process.send_signal(number)
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    # It is still loading, when nothing but the parent tells it; in line for an order it would know at once.
    await until(lambda: not group_members(waiting), 3)
