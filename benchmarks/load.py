"""How the HTTP server bears many clients while a job uses every core: milliseconds of trivial calls, and how soon subscribers hear.

Starts the real `mle-star serve --http` on a free port, profiles the bundled example, starts baselines on it, and while they work
lets every client send one call after the other without a pause (list_runs, get_run, a window; protocol 2026-07-28). Then
subscribers listen for a window and a note is written into it. The clients share the machine with the server and the job.

python benchmarks/load.py [--clients 50] [--calls 20] [--subscribers 200] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "telco_churn.csv"
VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "load-benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
JOB_S = 150.0


class Connection:
    """One client on one kept connection, in plain HTTP so that no client library is measured with the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._id = 0

    async def open(self) -> Connection:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its result; raises where the answer is an error."""
        head, length = await self._send(method, params)
        body = json.loads(await self._reader.readexactly(length))
        if b" 200 " not in head or "result" not in body or body["result"].get("isError"):
            raise RuntimeError(f"{method} {params}: {head!r} {body}")
        result: dict[str, Any] = body["result"]
        return result

    async def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its report."""
        result = await self.request("tools/call", name=name, arguments=arguments)
        report: dict[str, Any] = result["structuredContent"]
        return report

    async def listen(self, uri: str) -> Connection:
        """Subscribe to a resource; returns when the server has acknowledged."""
        await self._send("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})
        await self._event("acknowledged")
        return self

    async def heard(self) -> float:
        """Wait for news; returns when it came."""
        await self._event("resources/updated")
        return time.perf_counter()

    async def _send(self, method: str, params: dict[str, Any]) -> tuple[bytes, int]:
        self._id += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": {**params, "_meta": META}})
        name = params.get("name") or params.get("uri")
        headers = {
            "Host": f"127.0.0.1:{self._port}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
            **({"Mcp-Name": name} if name else {}),
            "Content-Length": str(len(body.encode())),
        }
        lines = [f"{key}: {value}" for key, value in headers.items()]
        self._writer.write("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", body]).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        return head, int(length)

    async def _event(self, kind: str) -> None:
        while kind.encode() not in await self._reader.readline():
            if self._reader.at_eof():
                raise RuntimeError("the stream ended")

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def measure(port: int, clients: int, calls: int, subscribers: int) -> dict[str, Any]:
    """Return the figures."""
    first = await Connection(port).open()
    report = await first.tool("profile_dataset", path=str(EXAMPLE), target="Churn", time_budget_s=JOB_S, wait_s=120)
    run_id = report["run_id"]
    job = await first.tool("build_baselines", run_id=run_id, time_budget_s=JOB_S, wait_s=0)
    while not (job.get("progress") or {}).get("done"):
        job = await first.tool("get_run", run_id=run_id, wait_s=1)
    window = f"context7://runs/{run_id}/windows/2"
    kinds: dict[str, list[float]] = {"list_runs": [], "get_run": [], "window": []}

    async def visit() -> None:
        connection = await Connection(port).open()
        for number in range(calls):
            kind = list(kinds)[number % len(kinds)]
            began = time.perf_counter()
            if kind == "window":
                await connection.request("resources/read", uri=window)
            else:
                await connection.tool(kind, **({"run_id": run_id} if kind == "get_run" else {}))
            kinds[kind].append(1000 * (time.perf_counter() - began))
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(visit() for _ in range(clients)))
    seconds = time.perf_counter() - began
    listeners = await asyncio.gather(*[_listener(port, window) for _ in range(subscribers)])
    ears = [asyncio.ensure_future(listener.heard()) for listener in listeners]
    await asyncio.sleep(0.5)
    written = time.perf_counter()
    await first.tool("context7_update", run_id=run_id, window=2, content="Everybody should hear this.")
    heard = [moment - written for moment in await asyncio.gather(*ears)]
    status = (await first.tool("get_run", run_id=run_id))["status"]
    await first.tool("cancel_run", run_id=run_id)
    return {
        "calls": clients * calls,
        "calls_per_s": round(clients * calls / seconds),
        "ms": {name: _quantiles(values) for name, values in {"all": [*chain(*kinds.values())], **kinds}.items()},
        "job_at_work": status == "running",
        "subscribers": subscribers,
        "last_heard_s": round(max(heard, default=0.0), 3),
    }


async def _listener(port: int, uri: str) -> Connection:
    return await (await Connection(port).open()).listen(uri)


def _quantiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20)
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1), "max": round(max(values), 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    command = [str(Path(sys.executable).with_name("mle-star"))]
    if shutil.which(command[0]) is None:
        command = [sys.executable, "-m", "mle_star.server.cli"]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        given = ["serve", "--http", "--port", "0", "--home", f"{folder}/home", "--allow", str(EXAMPLE.parent)]
        server = subprocess.Popen([*command, *given], stderr=log)
        try:
            figures = asyncio.run(measure(_port(Path(log.name)), options.clients, options.calls, options.subscribers))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(15)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{options.clients} clients × {options.calls} calls, none failed, {figures['calls_per_s']} calls/s")
    for name, row in figures["ms"].items():
        print(f"{name:>10}: p50 {row['p50']:.0f} ms, p95 {row['p95']:.0f} ms, max {row['max']:.0f} ms")
    print(f"{figures['subscribers']} subscribers, the last one heard after {figures['last_heard_s']:.2f} s")
    print("the job was at work all the time" if figures["job_at_work"] else "the job ended before the measurement did")


def _port(log: Path) -> int:
    """The port the server says it listens on."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        line = log.read_text(encoding="utf-8").partition("\n")[0]
        if line.endswith("}"):
            return int(json.loads(line)["url"].rpartition(":")[2].partition("/")[0])
        time.sleep(0.05)
    raise SystemExit("the server did not start; run `mle-star doctor`")


if __name__ == "__main__":
    main()
