"""Slow tools as tasks: real server processes on one home folder, driven by clients that declare the extension."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY
from mle_star.engine.run import RunFolder
from mle_star.server.job_state import read_state
from mle_star.server.tasks import KEPT_S
from served import parameters, small_table, structured, until
from task_client import IDENTIFIER, TasksClient, ask, start, until_ended

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(home: Path, data: Path, **environment: str) -> AsyncIterator[Client]:
    """A server process, and a client that takes tasks."""
    server = parameters(home, data)
    server.env = {**(server.env or {}), **environment}
    async with Client(server, extensions=[TasksClient()]) as client:
        yield client


@pytest.fixture
def table(data: Path) -> Path:
    return small_table(data, rows=300)


def profile_of(table: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(table), "target": "Churn", "time_budget_s": 30, **more}


async def test_a_slow_tool_becomes_a_task_whose_result_is_that_of_the_plain_call(
    home: Path, data: Path, table: Path
) -> None:
    async with served(home, data) as client:
        started = await start(client, "profile_dataset", **profile_of(table))
        first = await ask(client, "tasks/get", started.task_id)
        unasked = await ask(client, "tasks/update", started.task_id, input_responses={"nobody": {"action": "cancel"}})
        ended = await until_ended(client, started.task_id)
        plain = await client.call_tool("profile_dataset", profile_of(table))
    assert (started.status, first["status"], ended["status"]) == ("working", "working", "completed")
    assert unasked == {"resultType": "complete"}
    assert "profile_dataset is at work on run_churn_0001" in first["statusMessage"]
    described = started.model_dump(by_alias=True)
    for name in ("taskId", "createdAt", "ttlMs", "pollIntervalMs"):
        assert described[name] == first[name] == ended[name]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ended["lastUpdatedAt"])
    assert ended["result"]["structuredContent"] == plain.structured_content
    assert not ended["result"].get("isError", False)


async def test_a_quick_answer_and_a_refusal_stay_what_they_are(home: Path, data: Path, table: Path) -> None:
    async with served(home, data) as client:
        assert structured(await client.call_tool("list_runs", {}))["status"] == "finished"
        refused = await client.call_tool("build_baselines", {"run_id": "run_nobody_0001"})
        assert refused.is_error
        started = await start(client, "profile_dataset", **profile_of(table))
        await until_ended(client, started.task_id)
        again = await client.call_tool("profile_dataset", profile_of(table))
        assert structured(again)["status"] == "finished"


async def test_a_client_that_does_not_declare_the_extension_gets_no_task(home: Path, data: Path, table: Path) -> None:
    async with AsyncExitStack() as stack:
        taking = await stack.enter_async_context(served(home, data))
        plain = await stack.enter_async_context(Client(parameters(home, data)))
        older = await stack.enter_async_context(
            Client(parameters(home, data), mode="legacy", extensions=[TasksClient()])
        )
        started = await start(taking, "profile_dataset", **profile_of(table))
        for client, code in ((plain, MISSING_REQUIRED_CLIENT_CAPABILITY), (older, METHOD_NOT_FOUND)):
            assert structured(await client.call_tool("profile_dataset", profile_of(table, wait_s=0)))["run_id"]
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                with pytest.raises(MCPError) as refusal:
                    await ask(client, method, started.task_id)
                assert refusal.value.code == code
        assert (await until_ended(taking, started.task_id))["status"] == "completed"


@pytest.mark.slow
async def test_a_task_is_answered_for_by_another_server_and_after_a_restart(
    home: Path, data: Path, table: Path
) -> None:
    async with served(home, data) as other:
        async with served(home, data) as client:
            profiled = await start(client, "profile_dataset", **profile_of(table))
            assert (await until_ended(other, profiled.task_id))["status"] == "completed"
            baselines = await start(client, "build_baselines", time_budget_s=60)
            assert (await ask(other, "tasks/get", baselines.task_id))["status"] == "working"
        interrupted = await until_ended(other, baselines.task_id)
    async with served(home, data) as restarted:
        assert (await ask(restarted, "tasks/get", baselines.task_id))["status"] == "working", "it might be resumed yet"
        assert await until_ended(restarted, baselines.task_id) | {"lastUpdatedAt": ""} == interrupted | {
            "lastUpdatedAt": ""
        }
        assert (await ask(restarted, "tasks/get", profiled.task_id))["status"] == "completed"
        assert "the same call resumes" in json.dumps(interrupted["result"])
        assert interrupted["result"]["isError"]
        again = await start(restarted, "build_baselines", time_budget_s=60)
        assert again.task_id != baselines.task_id
        assert await ask(restarted, "tasks/cancel", again.task_id) == {"resultType": "complete"}


async def test_cancelling_a_task_ends_its_job_from_any_server_and_may_be_repeated(
    home: Path, data: Path, table: Path
) -> None:
    async with served(home, data) as client, served(home, data) as other:
        profile = await call_as_task(client, "profile_dataset", **profile_of(table))
        run = RunFolder(home / "runs" / profile["run_id"])
        started = await start(client, "build_baselines", time_budget_s=60)
        began = time.monotonic()
        for _ in range(2):
            assert await ask(other, "tasks/cancel", started.task_id) == {"resultType": "complete"}
        assert time.monotonic() - began < 3
        for client_ in (other, client):
            ended = await ask(client_, "tasks/get", started.task_id)
            assert (ended["status"], "result" in ended) == ("cancelled", False)
        state = read_state(run)
        assert state is not None
        assert state.status == "cancelled"


async def test_a_task_outlives_the_run_of_a_profile_that_failed_or_was_cancelled(
    home: Path, data: Path, table: Path
) -> None:
    async with served(home, data) as client:
        failing = await start(client, "profile_dataset", **profile_of(table, target="nothing"))
        ended = await until_ended(client, failing.task_id)
        assert (ended["status"], ended["result"]["isError"]) == ("completed", True)
        assert "nothing" in ended["result"]["content"][0]["text"]
        cancelled = await start(client, "profile_dataset", **profile_of(table))
        assert cancelled.task_id.startswith("run_churn_0001-"), "the handle of a run that never opened is free again"
        await ask(client, "tasks/cancel", cancelled.task_id)
        assert not list(home.glob("runs/*"))
        assert await ask(client, "tasks/get", failing.task_id) == ended
        assert (await ask(client, "tasks/get", cancelled.task_id))["status"] == "cancelled"


async def test_a_task_whose_job_waits_in_line_is_working_and_can_be_cancelled(
    home: Path, data: Path, table: Path
) -> None:
    async with served(home, data, MLE_STAR_MAX_JOBS="1") as client:
        await call_as_task(client, "profile_dataset", **profile_of(table))
        first = await start(client, "build_baselines", time_budget_s=60)
        second = await start(client, "profile_dataset", **profile_of(table, seed=5))
        waiting = await ask(client, "tasks/get", second.task_id)
        assert waiting["status"] == "working"
        assert "waits for its turn" in waiting["statusMessage"]
        await ask(client, "tasks/cancel", second.task_id)
        assert (await ask(client, "tasks/get", second.task_id))["status"] == "cancelled"
        await ask(client, "tasks/cancel", first.task_id)


async def test_a_task_whose_run_somebody_removed_has_failed(home: Path, data: Path, table: Path) -> None:
    async with served(home, data) as client:
        started = await start(client, "profile_dataset", **profile_of(table))
        run = RunFolder(home / "runs" / "run_churn_0001")
        await until(lambda: run.journal.last("report") is not None, 30)
        await until(lambda: (state := read_state(run)) is not None and state.status == "finished", 30)
        run.remove()
        ended = await ask(client, "tasks/get", started.task_id)
        assert (ended["status"], ended["error"]["code"]) == ("failed", INTERNAL_ERROR)
        assert "run_churn_0001 was removed" in ended["error"]["message"]
        assert "result" not in ended


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "nobody",
        "../../etc/passwd",
        "run_a_0001-job_001-0123456789abcdef",
        f"run_{'a' * 300}_0001-job_001-0123456789abcdef",
    ],
)
async def test_an_unknown_task_is_the_protocols_error(home: Path, data: Path, task_id: str) -> None:
    async with served(home, data) as client:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as refusal:
                await ask(client, method, task_id)
            assert refusal.value.code == INVALID_PARAMS
            assert str(home) not in str(refusal.value)


async def test_what_nobody_foresaw_is_told_without_a_path(home: Path, data: Path) -> None:
    task_id = "run_a_0001-job_001-0123456789abcdef"
    (home / "tasks" / f"{task_id}.json").mkdir(parents=True)
    async with served(home, data) as client:
        with pytest.raises(MCPError) as refusal:
            await ask(client, "tasks/get", task_id)
    assert refusal.value.code == INTERNAL_ERROR
    assert "IsADirectoryError" in refusal.value.error.message
    assert str(home) not in str(refusal.value)


async def test_a_task_is_forgotten_after_its_time(home: Path, data: Path, table: Path) -> None:
    async with served(home, data) as client:
        started = await start(client, "profile_dataset", **profile_of(table))
        await until_ended(client, started.task_id)
        (path,) = home.glob("tasks/*")
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"created_at": record["created_at"] - KEPT_S}))
        with pytest.raises(MCPError) as refusal:
            await ask(client, "tasks/get", started.task_id)
        assert refusal.value.code == INVALID_PARAMS
        os.utime(path, (time.time(), time.time() - KEPT_S - 1))
        later = await start(client, "build_baselines", time_budget_s=60)
        assert [path.stem for path in home.glob("tasks/*")] == [later.task_id]
        await ask(client, "tasks/cancel", later.task_id)


async def test_the_extension_is_offered_where_clients_look(home: Path, data: Path) -> None:
    async with served(home, data) as client:
        capabilities = client.session.server_capabilities
        assert capabilities is not None
        assert IDENTIFIER in (capabilities.extensions or {})


async def call_as_task(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    started = await start(client, tool, **given)
    ended = await until_ended(client, started.task_id)
    report: dict[str, Any] = ended["result"]["structuredContent"]
    return report
