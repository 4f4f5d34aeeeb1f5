"""The line before the workers: order of coming, places on record, cancelled and lost turns, also between two servers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mle_star.engine.errors import Busy
from mle_star.engine.journal import Entry
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.calls import settle
from mle_star.server.job_state import read_state, was_stopped
from mle_star.server.jobs import Jobs
from mle_star.server.line import LONGEST, ordinal
from mle_star.server.opening import PROFILE
from mle_star.server.settings import Settings
from served import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_jobs": 1})


@pytest.fixture
def make(home: Path) -> Callable[[str], RunFolder]:
    return lambda name: create_run(home, name)


def place(run: RunFolder) -> str:
    """What another server reads about a job in line."""
    state = read_state(run)
    assert state is not None
    return str((state.progress or {}).get("message", "")) if state.queued else state.status


async def begun(jobs: Jobs, run: RunFolder, **arguments: Any) -> str:
    """Start a job and wait for its first word."""
    job_id = await jobs.submit(run, "work", arguments)
    await until(lambda: run.journal.last("evaluation") is not None, 20)
    return job_id


async def test_jobs_beyond_the_limit_wait_and_begin_in_the_order_they_came(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder]
) -> None:
    await begun(jobs, run, course="hang")
    second, third = make("second"), make("third")
    ids = [await jobs.submit(second, "work", {"course": "a while"}), await jobs.submit(third, "work", {})]
    assert [place(second), place(third)] == ["1st in line behind 1 at work", "2nd in line behind 1 at work"]
    assert second.journal.last("evaluation") is None
    assert await jobs.submit(third, "work", {}) == ids[1], "the same call joins the job in line"
    await jobs.cancel(run)
    await until(lambda: second.journal.last("evaluation") is not None, 20)
    assert place(third) == "1st in line behind 1 at work"
    ended = [await jobs.wait(second, ids[0], 20), await jobs.wait(third, ids[1], 20)]
    assert [state.status for state in ended] == ["finished", "finished"]
    assert ended[0].ended_at is not None
    assert ended[0].ended_at <= ended[1].started_at


async def test_a_job_in_line_can_be_cancelled_and_the_others_move_up(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder]
) -> None:
    await begun(jobs, run, course="hang")
    second, third = make("second"), make("third")
    await jobs.submit(second, "work", {"course": "hang"})
    await jobs.submit(third, "work", {"course": "hang"})
    state = await jobs.cancel(second)
    assert state is not None
    assert state.status == "cancelled"
    assert place(third) == "1st in line behind 1 at work"
    await jobs.submit(second, "work", {"course": "hang"})
    assert place(second) == "2nd in line behind 1 at work"
    await jobs.cancel(run)
    await until(lambda: third.journal.last("evaluation") is not None, 20)
    assert second.journal.last("evaluation") is None, "cancelled work never began"


async def test_another_server_reads_and_cancels_a_job_in_line_and_may_then_do_it(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder], settings: Settings
) -> None:
    await begun(jobs, run, course="hang")
    second = make("second")
    await jobs.submit(second, "work", {"course": "finish"})
    other = Jobs(settings, perform="scripted_work:perform")
    try:
        seen = other.state(second)
        assert seen is not None
        assert (seen.status, seen.queued) == ("running", True)
        with pytest.raises(Busy, match="waits for its turn"):
            await other.submit(second, "other", {})
        cancelled = await other.cancel(second)
        assert cancelled is not None
        assert cancelled.status == "cancelled"
        job_id = await other.submit(second, "work", {"course": "finish"})
        assert (await other.wait(second, job_id, 20)).status == "finished"
    finally:
        other.shutdown()
    await jobs.cancel(run)
    assert sum(1 for _ in second.journal.read("evaluation")) == 1, "nothing ran twice"


async def test_jobs_in_line_read_as_interrupted_when_their_server_is_killed_and_the_same_call_resumes(
    jobs: Jobs, run: RunFolder, home: Path
) -> None:
    second = create_run(home, "second")
    server = (
        "import anyio, sys\nfrom pathlib import Path\nfrom mle_star.engine.run import RunFolder\n"
        "from mle_star.server.jobs import Jobs\nfrom mle_star.server.settings import Settings\n"
        "async def main():\n"
        "    jobs = Jobs(Settings(home=Path(sys.argv[1]), max_jobs=1), perform='scripted_work:perform')\n"
        "    await jobs.submit(RunFolder(Path(sys.argv[2])), 'work', {'course': 'hang'})\n"
        "    await jobs.submit(RunFolder(Path(sys.argv[3])), 'work', {'time_budget_s': 60})\n"
        "    await anyio.sleep(600)\n"
        "anyio.run(main)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", server, str(home), str(run.path), str(second.path)])
    try:
        await until(lambda: (state := read_state(second)) is not None and state.queued, 20)
    finally:
        process.kill()
        process.wait()
    state = read_state(second)
    assert state is not None
    assert state.status == "interrupted"
    assert state.error is not None
    assert "the same call resumes" in state.error.message
    job_id = await jobs.submit(second, "work", {"time_budget_s": 60})
    assert (await jobs.wait(second, job_id, 20)).status == "finished"


async def test_a_job_in_line_whose_run_is_gone_does_not_hold_up_the_next(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder]
) -> None:
    await begun(jobs, run, course="hang")
    second, third = make("second"), make("third")
    await jobs.submit(second, "work", {})
    job_id = await jobs.submit(third, "work", {})
    second.remove()
    await jobs.cancel(run)
    with anyio.fail_after(20):
        assert (await jobs.wait(third, job_id, 20)).status == "finished"


async def test_a_place_is_free_again_when_a_failed_profile_gave_its_handle_to_the_next(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder]
) -> None:
    with anyio.fail_after(60):
        for _ in range(5):
            failed = make("churn")
            settle(jobs, failed, await jobs.wait(failed, await jobs.submit(failed, PROFILE, {"course": "refuse"}), 20))
            again = make("churn")
            assert again == failed
            job_id = await jobs.submit(again, PROFILE, {})
            assert (await jobs.wait(again, job_id, 20)).status == "finished"
        await begun(jobs, run, course="hang")


async def test_a_journal_that_cannot_be_read_as_a_turn_comes_starts_no_second_job(
    jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def unreadable_once(*about: Any) -> Entry | None:
        asked.append(1)
        if len(asked) == 1:
            raise sqlite3.OperationalError("disk I/O error")
        return was_stopped(*about)

    await begun(jobs, run, course="hang")
    second, third = make("second"), make("third")
    for other in (second, third):
        await jobs.submit(other, "work", {"course": "hang"})
    monkeypatch.setattr("mle_star.server.jobs.was_stopped", unreadable_once)
    await jobs.cancel(run)
    await until(lambda: second.journal.last("evaluation") is not None, 20)
    await until(lambda: bool(asked), 20)
    assert place(third) == "1st in line behind 1 at work"
    await jobs.cancel(second)
    await until(lambda: third.journal.last("evaluation") is not None, 20)


async def test_the_line_has_an_end(jobs: Jobs, run: RunFolder, make: Callable[[str], RunFolder]) -> None:
    await begun(jobs, run, course="hang")
    for number in range(LONGEST):
        await jobs.submit(make(f"run{number}"), "work", {})
    with pytest.raises(
        Busy, match=f"{LONGEST} wait for their turn, the most that may; call again when list_runs shows"
    ):
        await jobs.submit(make("last"), "work", {})
    jobs.shutdown()


def test_places_are_words_people_use() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 32)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "32nd",
    ]  # fmt: skip
