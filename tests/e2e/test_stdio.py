"""The whole product over stdio, as a client starts it: all tools in both protocol eras, killed servers and workers, speed."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mle_star.engine.run import RunFolder
from mle_star.server.job_state import read_state
from served import arguments, call, group_members, parameters, small_table, structured, until

pytestmark = pytest.mark.anyio

MOST_TOKENS = 2_000
CHARACTERS_PER_TOKEN = 3.5
START_S, START_SHARE = 0.7, 1.7
"""Promised on an idle machine; on a busy one at most this multiple of a server without tools. An ML library would double it."""
BARE_SERVER = "from mcp.server import MCPServer; MCPServer('bare').run('stdio')"
CALL_MS, BUSY = 5.0, 2.0
"""Promised on an idle machine; a busy one is given a multiple."""


@pytest.fixture
async def client(home: Path, data: Path) -> AsyncIterator[Client]:
    async with Client(parameters(home, data)) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_agent_does_the_whole_workflow(home: Path, data: Path, era: Any) -> None:
    table = small_table(data)
    reports: dict[str, dict[str, Any]] = {}
    async with Client(parameters(home, data), mode=era) as client:
        profile = await call(client, "profile_dataset", path=str(table), target="Churn", time_budget_s=20)
        run_id = profile["run_id"]
        reports["profile_dataset"] = profile
        for tool, given in (
            ("search_sota", {}),
            ("build_baselines", {"time_budget_s": 5, "learners": ["linear", "lightgbm"]}),
            ("run_ablation", {"time_budget_s": 8}),
            ("refine", {"time_budget_s": 4, "iterations": 1}),
            ("build_ensemble", {"time_budget_s": 4}),
            ("validate", {"time_budget_s": 10}),
            ("context7_update", {"window": 1, "content": "Churn within a month is what counts.", "priority": 4}),
        ):
            reports[tool] = await call(client, tool, run_id=run_id, **given)
        listed = await call(client, "list_runs")
        windows = [
            (await client.read_resource(f"context7://windows/{number}")).contents[0].text  # type: ignore[union-attr]
            for number in range(1, 8)
        ]
    for tool, report in reports.items():
        assert (report["status"], report["run_id"]) == ("finished", run_id), tool
        assert len(json.dumps(report)) / CHARACTERS_PER_TOKEN <= MOST_TOKENS, tool
    assert reports["validate"]["verdict"] in {"READY", "NOT READY"}
    assert [row["run_id"] for row in listed["runs"]] == [run_id]
    assert all("###" in window for window in windows), "a window stayed empty"


@pytest.mark.slow
async def test_a_later_step_asked_for_first_does_the_earlier_ones(client: Client, data: Path) -> None:
    profile = await call(client, "profile_dataset", path=str(small_table(data)), target="Churn", time_budget_s=8)
    report = await call(client, "build_ensemble", run_id=profile["run_id"], time_budget_s=8)
    assert "build_baselines" in report["did_first"]


async def test_the_same_profile_joins_the_run_that_has_it(client: Client, data: Path) -> None:
    table = small_table(data)
    first = await call(client, "profile_dataset", path=str(table), target="Churn")
    again = await call(client, "profile_dataset", path=str(table), target="Churn")
    assert again["run_id"] == first["run_id"]
    with table.open("a", encoding="utf-8") as file:
        file.write(table.read_text().splitlines()[1] + "\n")
    changed = await call(client, "profile_dataset", path=str(table), target="Churn")
    assert changed["run_id"] != first["run_id"]


@pytest.mark.parametrize(
    ("content", "target", "said"),
    [
        (b"", "y", "empty"),
        (b"a,y\n", "y", "row"),
        (b"y\n1\n2\n", "y", "column"),
        (b"a,y\n1,2\n", "y", "row"),
        (b"a,Churn\n" + b"1,0\n2,1\n" * 20, "Churm", "Churn"),
        (b"a,y\n" + b"1,1\n2,1\n" * 20, "y", "varies"),
        (b"a,y\n" + b"1,\n2,\n" * 20, "y", "missing|empty"),
        (b"\x00\x01\x02\xff" * 400, "y", "text|binary|table"),
    ],
    ids=[
        "empty", "header only", "one column", "one row", "misspelt target", "constant target", "missing target", "binary",
    ],
)  # fmt: skip
async def test_unusable_data_is_one_sentence_and_leaves_no_run(
    client: Client, home: Path, data: Path, content: bytes, target: str, said: str
) -> None:
    table = data / "bad.csv"
    table.write_bytes(content)
    result = await client.call_tool("profile_dataset", {"path": str(table), "target": target})
    text = result.content[0].text  # type: ignore[union-attr]
    assert result.is_error, result.structured_content
    assert any(word in text for word in said.split("|")), text
    assert "Traceback" not in text
    assert not list(home.glob("runs/*"))


def _wide(columns: int) -> bytes:
    header = ",".join([*(f"c{number}" for number in range(columns)), "y"])
    rows = [",".join([*(str((row * number) % 97) for number in range(columns)), str(row % 2)]) for row in range(60)]
    return "\n".join([header, *rows]).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"a,a,y\n" + b"1,2,0\n3,4,1\n" * 30,
        b"a,b,y\n" + b"1,inf,0\n-inf,4,1\n2,3,0\n5,6,1\n" * 20,
        b"a,b,y\n" + b"1,x,0\n2,7,1\noops,z,0\n3,8,1\n" * 20,
        "a,b,y\n".encode("latin-1") + "1,Z\xfcrich,0\n2,B\xe2le,1\n".encode("latin-1") * 30,
        _wide(5_000),
    ],
    ids=["duplicate names", "infinities", "mixed types", "not UTF-8", "5,000 columns"],
)
async def test_dirty_data_is_profiled_or_refused_in_words(
    client: Client, home: Path, data: Path, content: bytes
) -> None:
    table = data / "dirty.csv"
    table.write_bytes(content)
    result = await client.call_tool("profile_dataset", {"path": str(table), "target": "y", "wait_s": 100})
    if result.is_error:
        text = result.content[0].text  # type: ignore[union-attr]
        assert "unexpectedly" not in text
        assert not list(home.glob("runs/*"))
    else:
        report = structured(result)
        assert report["status"] == "finished"
        assert len(json.dumps(report)) / CHARACTERS_PER_TOKEN <= MOST_TOKENS


async def test_more_classes_than_rows_allow_is_refused(client: Client, data: Path) -> None:
    table = data / "classes.csv"
    table.write_text("a,y\n" + "".join(f"{row},k{row}\n" for row in range(60)))
    result = await client.call_tool("profile_dataset", {"path": str(table), "target": "y", "task": "multiclass"})
    assert result.is_error, result.structured_content
    assert "unexpectedly" not in result.content[0].text  # type: ignore[union-attr]


async def test_progress_only_grows_and_comes_at_most_twice_a_second(client: Client, data: Path) -> None:
    profile = await call(client, "profile_dataset", path=str(small_table(data)), target="Churn")
    told: list[tuple[float, float]] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append((time.monotonic(), progress))

    given = {"run_id": profile["run_id"], "time_budget_s": 60, "wait_s": 4}
    result = await client.call_tool("build_baselines", given, progress_callback=tell)
    assert structured(result)["status"] in {"running", "finished"}
    await client.call_tool("cancel_run", {"run_id": profile["run_id"]})
    assert told
    assert [value for _, value in told] == sorted(value for _, value in told)
    assert len(told) <= 1 + 2 * 4


async def test_cancelling_ends_the_work_within_two_seconds(client: Client, home: Path, data: Path) -> None:
    run = await _busy_run(client, home, data)
    worker = _worker(run)
    began = time.monotonic()
    report = await call(client, "cancel_run", run_id=run.run_id)
    assert time.monotonic() - began < 2.5
    assert report["status"] == "cancelled"
    await until(lambda: not group_members(worker), 2)


@pytest.mark.slow
async def test_a_killed_worker_is_replaced_and_after_another_kill_the_same_call_resumes(
    client: Client, home: Path, data: Path
) -> None:
    run = await _busy_run(client, home, data)
    kept = len(list(run.journal.read("evaluation")))
    first = _worker(run)
    os.kill(first, signal.SIGKILL)
    await until(lambda: _state(run.path) == "running" and _worker(run) != first, 10)
    await until(lambda: len(list(run.journal.read("evaluation"))) > kept, 30)
    kept = len(list(run.journal.read("evaluation")))
    os.kill(_worker(run), signal.SIGKILL)
    seen = structured(await client.call_tool("get_run", {"run_id": run.run_id, "wait_s": 5}))
    assert seen["status"] == "interrupted"
    assert "the same call resumes" in seen["error"]
    again = {"run_id": run.run_id, "time_budget_s": 60, "wait_s": 0}
    assert structured(await client.call_tool("build_baselines", again))["status"] == "running"
    await until(lambda: len(list(run.journal.read("evaluation"))) > kept, 30)
    await client.call_tool("cancel_run", {"run_id": run.run_id})


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, None], ids=["killed", "ended", "input closed"])
@pytest.mark.slow
async def test_no_worker_outlives_its_server(home: Path, data: Path, ending: signal.Signals | None) -> None:
    table = small_table(data)
    process = await anyio.open_process([parameters(home, data).command, *arguments(home, data)], cwd=data, stderr=None)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        begin = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        profile = {"path": str(table), "target": "Churn", "wait_s": 60}
        for message in (
            {"id": 1, "method": "initialize", "params": begin},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "profile_dataset", "arguments": profile}},
        ):
            await process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await until(lambda: any(_state(run) == "finished" for run in home.glob("runs/*")), 60)
        params = {"name": "build_baselines", "arguments": {"time_budget_s": 60, "wait_s": 60}}
        request = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
        await process.stdin.send(json.dumps(request).encode() + b"\n")
        run = RunFolder(next(home.glob("runs/*")))
        await until(lambda: run.journal.last("evaluation") is not None, 60)
        worker = _worker(run)
        assert group_members(worker)
        if ending is None:
            await process.stdin.aclose()
        else:
            process.send_signal(ending)
        with anyio.fail_after(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()
    await until(lambda: not group_members(worker), 3)
    await until(lambda: _state(run.path) == "interrupted", 3)


async def test_it_starts_fast(home: Path, data: Path) -> None:
    """Compared with a server that does nothing, started in turn with ours, so that a busy machine slows both."""
    ours, bare = [], []
    for _ in range(4):
        bare.append(await _start_s(StdioServerParameters(command=sys.executable, args=["-c", BARE_SERVER])))
        ours.append(await _start_s(parameters(home, data)))
    assert min(ours) <= max(START_S, START_SHARE * min(bare)), (ours, bare)


async def _start_s(server: StdioServerParameters) -> float:
    began = time.perf_counter()
    async with Client(server, mode="legacy"):
        return time.perf_counter() - began


async def test_a_trivial_call_is_fast(client: Client) -> None:
    milliseconds = []
    for _ in range(100):
        began = time.perf_counter()
        structured(await client.call_tool("list_runs", {}))
        milliseconds.append(1000 * (time.perf_counter() - began))
    assert statistics.median(milliseconds) <= CALL_MS * BUSY


async def _busy_run(client: Client, home: Path, data: Path) -> RunFolder:
    """A run whose baselines are at work and have scored something."""
    profile = await call(client, "profile_dataset", path=str(small_table(data)), target="Churn")
    given = {"run_id": profile["run_id"], "time_budget_s": 60, "wait_s": 0}
    assert structured(await client.call_tool("build_baselines", given))["status"] == "running"
    run = RunFolder(home / "runs" / profile["run_id"])
    await until(lambda: run.journal.last("evaluation") is not None, 60)
    return run


def _worker(run: RunFolder) -> int:
    state = read_state(run)
    assert state is not None
    assert state.status == "running"
    return state.pid


def _state(path: Path) -> str:
    state = read_state(RunFolder(path))
    return state.status if state is not None else ""
