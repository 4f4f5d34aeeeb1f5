"""Serving over HTTP: both protocol eras, who is refused, limits, pages, and a server that leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from mle_star.engine.errors import InvalidInput
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.web import LARGEST_BODY, Address, Buckets, Gate, address_of
from served import COMMAND, call, group_members, small_table, structured, until

TOKEN = "a-token-for-these-tests"


class Served:
    """A server process on a free port."""

    def __init__(self, folder: Path, *options: str, token: str | None = None) -> None:
        self.home = folder / "home"
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        environment = {name: os.environ[name] for name in ("PYTHONPATH", "PATH", "HOME") if name in os.environ}
        environment["MLE_STAR_WARM"] = "0"
        if token is not None:
            environment["TEST_TOKEN"] = token
        given = ["--http", "--port", "0", "--home", str(self.home), "--allow", str(self.data), *options]
        self.process = subprocess.Popen(
            [*COMMAND, *given],
            env=environment,
            cwd=self.data,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        first = json.loads(self.process.stderr.readline())
        assert first["message"] == "serving"
        self.url = first["url"]
        self.port = int(self.url.rsplit(":", 1)[1].partition("/")[0])
        self._log: list[str] = []
        # Somebody has to read the log: a full pipe would stop the server.
        self._reader = threading.Thread(target=self._log.extend, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Send one request; returns status, headers in lower case, and the text."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def stop(self) -> list[dict[str, Any]]:
        """End the server as a supervisor would; returns what it has logged."""
        self.process.send_signal(signal.SIGTERM)
        self._leave()
        return [json.loads(line) for line in self._log]

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self._leave()

    def _leave(self) -> None:
        self.process.wait(timeout=15)
        self._reader.join(timeout=5)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("open"))
    yield served
    served.kill()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("guarded"), "--token-env", "TEST_TOKEN", token=TOKEN)
    yield served
    served.kill()


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_lists_and_calls_tools(server: Served, era: Any) -> None:
    async with Client(server.url, mode=era) as client:
        assert "profile_dataset" in {tool.name for tool in (await client.list_tools()).tools}
        assert structured(await client.call_tool("list_runs", {}))["status"] == "finished"
        refused = await client.call_tool("get_run", {"run_id": "run_nothing_0001"})
        assert refused.is_error


@pytest.mark.anyio
async def test_a_job_is_done_over_http_and_its_run_is_seen_by_another_client(server: Served) -> None:
    table = small_table(server.data)
    async with Client(server.url) as first:
        report = await call(first, "profile_dataset", path=str(table), target="Churn", time_budget_s=20)
    assert report["task"] == "binary"
    status, headers, text = await anyio.to_thread.run_sync(server.request, "GET", f"/runs/{report['run_id']}")
    assert (status, "connect-src 'self'" in headers["content-security-policy"]) == (200, True)
    assert "<script>" in text
    status, _, text = await anyio.to_thread.run_sync(server.request, "GET", f"/runs/{report['run_id']}/state.json")
    assert (status, json.loads(text)["reports"]["profile_dataset"]["task"]) == (200, "binary")
    assert server.request("GET", f"/runs/{report['run_id']}/report.html")[0] == 404
    async with Client(server.url) as second:
        runs = structured(await second.call_tool("list_runs", {}))["runs"]
    assert report["run_id"] in {run["run_id"] for run in runs}


@pytest.mark.anyio
async def test_fifty_clients_at_once_get_their_answers(server: Served) -> None:
    seconds: list[float] = []

    async def visit() -> None:
        async with Client(server.url) as client:
            for _ in range(4):
                begin = time.perf_counter()
                structured(await client.call_tool("list_runs", {}))
                seconds.append(time.perf_counter() - begin)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(visit)
    assert len(seconds) == 200


def test_pages_tell_that_the_server_is_well(server: Served) -> None:
    assert server.request("GET", "/healthz")[0] == 200
    status, _, text = server.request("GET", "/readyz")
    assert (status, json.loads(text)["ready"]) == (200, True)
    status, _, text = server.request("GET", "/runs/run_nothing_0001")
    assert status == 404
    assert "run_nothing_0001" in text
    assert "/" not in text.replace("list_runs", "")


@pytest.mark.parametrize("path", ["/mcp", "/runs/run_a_0001"])
def test_a_page_from_elsewhere_cannot_reach_a_local_server(server: Served, path: str) -> None:
    assert server.request("POST", path, b"{}", Host="evil.example")[0] == 421
    assert server.request("POST", path, b"{}", Origin="http://evil.example")[0] == 403
    assert server.request("POST", path, b"{}", Origin=f"http://127.0.0.1.evil.example:{server.port}")[0] == 403


def test_a_request_that_is_too_large_is_refused(server: Served) -> None:
    body = b" " * (LARGEST_BODY + 1)
    headers = {"Content_Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        status = server.request("POST", "/mcp", body, **headers)[0]
    except (BrokenPipeError, ConnectionResetError):
        status = 413
    assert status == 413


def test_without_the_token_only_supervisors_are_answered(guarded: Served) -> None:
    assert guarded.request("GET", "/healthz")[0] == 200
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}):
        status, headers, text = guarded.request("POST", "/mcp", b"{}", **wrong)
        assert status == 401
        assert headers["www-authenticate"] == "Bearer"
        assert TOKEN not in text
    assert guarded.request("GET", "/runs/run_a_0001", Authorization=f"Bearer {TOKEN}")[0] == 404


def test_every_request_has_an_id_and_a_line_in_the_log(tmp_path: Path) -> None:
    served = Served(tmp_path)
    _, mine, _ = served.request("GET", "/healthz", X_Request_Id="my-id-1")
    _, theirs, _ = served.request("GET", "/healthz", X_Request_Id="no such\tid " + "x" * 200)
    lines = served.stop()
    assert served.process.returncode == -signal.SIGTERM
    assert mine["x-request-id"] == "my-id-1"
    logged = [line for line in lines if line["message"] == "request"]
    assert [line["request_id"] for line in logged] == ["my-id-1", theirs["x-request-id"]]
    assert all(line["status"] == 200 and line["path"] == "/healthz" for line in logged)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_log_says_which_tool_and_run_a_request_was_about(tmp_path: Path, era: Any) -> None:
    served = Served(tmp_path)
    run = create_run(served.home, "logged")
    async with Client(served.url, mode=era) as client:
        structured(await client.call_tool("get_run", {"run_id": run.run_id}))
        await client.call_tool("get_run", {"run_id": "run_nobody_0001"})
        await client.read_resource(f"context7://runs/{run.run_id}/windows/1")
    lines = [line for line in await anyio.to_thread.run_sync(served.stop) if line["message"] == "request"]
    assert all(line["request_id"] for line in lines)
    told = [(line.get("tool"), line.get("run_id"), line.get("outcome")) for line in lines if "run_id" in line]
    assert told == [
        ("get_run", run.run_id, "finished"),
        ("get_run", "run_nobody_0001", "error"),
        (None, run.run_id, None),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_server_that_is_listened_to_ends_at_once_and_in_order(tmp_path: Path, era: Any) -> None:
    served = Served(tmp_path)
    async with Client(served.url, mode=era) as client, AsyncExitStack() as streams:
        if era == "auto":
            await streams.enter_async_context(client.listen(resource_subscriptions=["context7://windows/1"]))
        await client.list_resources()
        began = time.monotonic()
        lines = await anyio.to_thread.run_sync(served.stop)
        assert time.monotonic() - began < 3.0
    assert [line for line in lines if "traceback" in line] == []


@pytest.mark.anyio
async def test_the_work_ends_with_the_server(tmp_path: Path) -> None:
    served = Served(tmp_path)
    table = small_table(served.data)
    async with Client(served.url) as client:
        profiled = await call(client, "profile_dataset", path=str(table), target="Churn", time_budget_s=60)
        running = structured(await client.call_tool("build_baselines", {"run_id": profiled["run_id"], "wait_s": 1}))
    assert running["status"] == "running"
    workers = _children(served.process.pid)
    assert workers
    await anyio.to_thread.run_sync(served.stop)
    await until(lambda: not any(group_members(pid) for pid in workers), 5)


def _children(parent: int) -> list[int]:
    """Children of a process, whichever of its threads started them (Linux)."""
    return [int(pid) for path in Path(f"/proc/{parent}/task").glob("*/children") for pid in path.read_text().split()]


@pytest.mark.parametrize(
    ("host", "token", "allowed"),
    [("0.0.0.0", None, ()), ("0.0.0.0", TOKEN, ()), ("192.0.2.1", None, ("ml.example",)), ("127.0.0.1", "short", ())],
)
def test_an_address_others_can_reach_needs_a_token_and_names(
    host: str, token: str | None, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput):
        Address(host, 8000, token, allowed)


def test_an_empty_variable_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", " ")
    with pytest.raises(InvalidInput, match="TEST_TOKEN"):
        address_of("127.0.0.1", 8000, "TEST_TOKEN", ())


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Address(token=TOKEN))


def test_a_port_in_use_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        arguments = [*COMMAND, "--http", "--port", port, "--home", str(tmp_path / "home"), "--allow", str(tmp_path)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False, env={**os.environ})
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@given(st.lists(st.floats(0.0, 5.0), max_size=200))
def test_a_bucket_never_gives_more_than_its_rate_and_burst(pauses: list[float]) -> None:
    now = 0.0
    buckets = Buckets(rate=2.0, burst=5, clock=lambda: now)
    given_out = 0
    for pause in pauses:
        now += pause
        given_out += buckets.take("client") == 0.0
    assert given_out <= 5 + 2.0 * now + 1e-6


@pytest.mark.anyio
async def test_too_many_requests_are_refused_before_the_token_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mle_star.server.web.BURST", 3)
    monkeypatch.setattr("mle_star.server.web.REQUESTS_PER_S", 0.01)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("a request without the token came through")

    gate = Gate(application, Address(token=TOKEN))
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "client": ("192.0.2.7", 1),
        "headers": [(b"host", b"127.0.0.1:1")],
    }
    for _ in range(5):
        await gate(scope, None, send)  # type: ignore[arg-type]
    assert statuses == [401, 401, 401, 429, 429]


def test_one_client_does_not_use_up_the_bucket_of_another() -> None:
    buckets = Buckets(rate=1.0, burst=2, clock=lambda: 0.0)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    assert buckets.take("b") == 0.0


@pytest.mark.anyio
async def test_a_client_that_disconnects_in_mid_call_finds_its_work_done(server: Served) -> None:
    async with Client(server.url) as client:
        profile = await call(client, "profile_dataset", path=str(small_table(server.data)), target="Churn", seed=5)
    asked = {"run_id": profile["run_id"], "learners": ["linear", "decision_tree"], "time_budget_s": 30}
    run = RunFolder(server.home / "runs" / profile["run_id"])
    client_that_leaves = (
        "import anyio, json, sys\nfrom mcp.client import Client\n"
        "async def main():\n"
        "    async with Client(sys.argv[1]) as client:\n"
        "        await client.call_tool('build_baselines', json.loads(sys.argv[2]))\n"
        "anyio.run(main)\n"
    )
    waiting = json.dumps({**asked, "wait_s": 60})
    process = subprocess.Popen([sys.executable, "-c", client_that_leaves, server.url, waiting])
    try:
        await until(lambda: sum(1 for _ in run.journal.read("job_started")) == 2, 20)
    finally:
        process.kill()
        process.wait()
    async with Client(server.url) as client:
        report = await call(client, "build_baselines", **asked, wait_s=60)
    assert report["status"] == "finished"
    assert sum(1 for _ in run.journal.read("job_started")) == 2, "the work went on and was not begun again"
