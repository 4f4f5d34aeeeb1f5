"""What goes wrong around a served run: servers and workers killed together, two servers on one home, a client that leaves."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mle_star.engine.run import RunFolder, create_run
from mle_star.server import calls
from mle_star.server.job_state import JobState, read_state
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings
from served import EXAMPLE, call, group_members, parameters, small_table, structured, until

pytestmark = pytest.mark.anyio

BASELINES: dict[str, Any] = {"learners": ["linear", "decision_tree", "naive_bayes", "extra_trees"], "time_budget_s": 60}


def at_work(run: RunFolder) -> JobState:
    state = read_state(run)
    assert state is not None
    assert state.status == "running"
    return state


def evaluations(run: RunFolder) -> int:
    return sum(1 for _ in run.journal.read("evaluation"))


def computed_twice(run: RunFolder) -> list[str]:
    times = Counter(
        f"{entry.body['key']} {entry.body['plan']}"
        for entry in run.journal.read("evaluation")
        if not entry.body["cached"] and entry.body["failure"] is None
    )
    return [solution for solution, count in times.items() if count > 1]


def children(parent: int) -> list[int]:
    """Processes another one has started (Linux)."""
    return [
        int(pid)
        for path in Path(f"/proc/{parent}/task").glob("*/children")
        for pid in path.read_text(encoding="ascii").split()
    ]


@pytest.mark.slow
async def test_server_and_worker_killed_together_lose_nothing_that_was_finished(home: Path, data: Path) -> None:
    table = small_table(data)
    # The client words it in its own ways that its server is gone.
    with suppress(Exception):
        async with Client(parameters(home, data)) as client:
            await call(client, "profile_dataset", path=str(table), target="Churn")
            await client.call_tool("build_baselines", {"wait_s": 0, **BASELINES})
            run = RunFolder(next(home.glob("runs/*")))
            await until(lambda: evaluations(run) >= 2, 60)
            state = at_work(run)
            (server,) = (pid for pid in children(os.getpid()) if state.pid in children(pid))
            os.kill(server, signal.SIGKILL)
            os.killpg(state.pid, signal.SIGKILL)
            await client.call_tool("list_runs", {})
    kept = evaluations(run)
    await until(lambda: not group_members(state.pid), 3)
    async with Client(parameters(home, data)) as client:
        listed = await call(client, "list_runs")
        assert [(row["run_id"], row["status"]) for row in listed["runs"]] == [(run.run_id, "interrupted")]
        report = await call(client, "build_baselines", run_id=run.run_id, wait_s=60, **BASELINES)
    assert report["status"] == "finished"
    assert kept >= 2
    assert computed_twice(run) == []


@pytest.mark.slow
async def test_two_servers_on_one_home_share_a_run_and_do_nothing_twice(home: Path, data: Path) -> None:
    table = small_table(data)
    asked = {"path": str(table), "target": "Churn"}
    async with Client(parameters(home, data)) as desktop, Client(parameters(home, data)) as code:
        reports: list[dict[str, Any]] = []

        async def ask(client: Client, tool: str, **given: Any) -> None:
            reports.append(await call(client, tool, **given))

        async with anyio.create_task_group() as both:
            both.start_soon(lambda: ask(desktop, "profile_dataset", **asked))
            await until(lambda: list(home.glob("runs/*/journal.sqlite")), 20)
            both.start_soon(lambda: ask(code, "profile_dataset", **asked))
        assert len({report["run_id"] for report in reports}) == 1
        run = RunFolder(home / "runs" / reports[0]["run_id"])
        async with anyio.create_task_group() as both:
            for client in (desktop, code):
                both.start_soon(lambda client=client: ask(client, "build_baselines", run_id=run.run_id, **BASELINES))
        assert {report["status"] for report in reports} == {"finished"}
        assert reports[-1]["summary"] == reports[-2]["summary"]
        started = Counter(entry.body["tool"] for entry in run.journal.read("job_started"))
        assert started == {"profile_dataset": 1, "build_baselines": 1}
        assert computed_twice(run) == []
        await desktop.call_tool("run_ablation", {"run_id": run.run_id, "wait_s": 0, "time_budget_s": 60})
        worker = at_work(run).pid
        seen = structured(await code.call_tool("get_run", {"run_id": run.run_id, "wait_s": 0.5}))
        assert (seen["status"], seen["job"]) == ("running", "run_ablation")
        cancelled = await call(code, "cancel_run", run_id=run.run_id)
        assert cancelled["status"] == "cancelled"
        await until(lambda: not group_members(worker), 2)
        seen = structured(await desktop.call_tool("get_run", {"run_id": run.run_id}))
        assert seen["status"] == "cancelled"


@pytest.mark.slow
async def test_a_job_over_its_memory_says_what_to_reduce_and_the_server_lives_on(home: Path, data: Path) -> None:
    table = small_table(data)
    async with Client(parameters(home, data)) as client:
        await call(client, "profile_dataset", path=str(table), target="Churn")
    server = parameters(home, data)
    server.env = {**(server.env or {}), "MLE_STAR_MEMORY_MB": "64"}
    async with Client(server) as client:
        # The libraries alone need more; this work takes longer than the half second between two looks.
        result = await client.call_tool("build_baselines", {"wait_s": 60, **BASELINES})
        assert result.is_error
        assert "MB one job may use" in result.content[0].text  # type: ignore[union-attr]
        assert "Use fewer rows or columns, or raise MLE_STAR_MEMORY_MB" in result.content[0].text  # type: ignore[union-attr]
        assert (await call(client, "list_runs"))["status"] == "finished"


@pytest.mark.slow
async def test_a_profile_answers_within_a_second_warm_and_four_cold(home: Path, data: Path) -> None:
    table = Path(shutil.copy(EXAMPLE, data / "churn.csv"))
    seconds = {}
    for warm in (False, True):
        async with Client(parameters(home, data, warm=warm)) as client:
            if warm:
                await _until_a_worker_waits()
            began = time.monotonic()
            asked = {"path": str(table), "target": "Churn", "seed": int(warm)}
            assert structured(await client.call_tool("profile_dataset", asked))["status"] == "finished"
            seconds[warm] = time.monotonic() - began
    assert seconds[True] <= 1.0, seconds
    assert seconds[False] <= 4.0, seconds


async def _until_a_worker_waits() -> None:
    """Wait until the server's worker has loaded the libraries and takes no more processor time."""
    spent = -1
    with anyio.fail_after(60):
        while True:
            workers = [worker for server in children(os.getpid()) for worker in children(server)]
            now = _processor_ticks(workers[0]) if workers else -1
            if now == spent and workers and "lightgbm" in Path(f"/proc/{workers[0]}/maps").read_text(encoding="utf-8"):
                return
            spent = now
            await anyio.sleep(0.3)


def _processor_ticks(pid: int) -> int:
    """What a process has used, in hundredths of a second (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.slow
async def test_progress_comes_at_least_every_twenty_seconds_while_the_work_says_nothing(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval is ten seconds; here it is half a one, so that the test need not wait."""
    assert calls.SILENT_AT_MOST_S + calls.NOTIFY_EVERY_S <= 20
    monkeypatch.setattr(calls, "SILENT_AT_MOST_S", 0.6)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    told: list[tuple[float, float, str]] = []

    async def tell(worked_s: float, budget_s: float | None, message: str) -> None:
        told.append((time.monotonic(), worked_s, message))

    jobs = Jobs(Settings(home=home, warm=False), perform="scripted_work:perform")
    run = create_run(home, "test")
    try:
        job_id = await jobs.submit(run, "work", {"course": "hang"})
        await calls.watch(jobs, run, job_id, 3.0, tell)
    finally:
        jobs.shutdown()
    assert len(told) >= 3
    assert all(later[0] - earlier[0] >= 0.45 for earlier, later in pairwise(told)), "at most two a second"
    assert [worked for _, worked, _ in told] == sorted(worked for _, worked, _ in told)
    assert told[-1][2] == "work 0/2: begun"
