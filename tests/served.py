"""A served process and the table it works on: the same command line that a client's configuration names."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "telco_churn.csv"
COMMAND = [sys.executable, "-m", "mle_star.server.cli", "serve"]


def small_table(folder: Path, rows: int = 600) -> Path:
    """The first rows of the example."""
    path = folder / "churn.csv"
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[: rows + 1]), encoding="utf-8")
    return path


def arguments(home: Path, data: Path) -> list[str]:
    """Everything after the interpreter."""
    return [*COMMAND[1:], "--home", str(home), "--allow", str(data)]


def parameters(home: Path, data: Path, *, warm: bool = False) -> StdioServerParameters:
    """How a client starts the server; a worker in waiting would slow tests that do not ask for one."""
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "PATH", "HOME") if name in os.environ}
    environment["MLE_STAR_WARM"] = str(int(warm))
    return StdioServerParameters(command=COMMAND[0], args=arguments(home, data), env=environment, cwd=str(data))


async def call(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    """Call a tool; follow `status=running` with get_run until the work has ended, as the report says. Returns the report."""
    result = await client.call_tool(tool, given)
    report = structured(result)
    while report["status"] == "running":
        report = structured(await client.call_tool("get_run", {"run_id": report["run_id"], "wait_s": 10}))
        report = {**report, **report.get("result", {})}
    return report


def structured(result: CallToolResult) -> dict[str, Any]:
    """The report of a call that went well."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def group_members(leader: int) -> list[int]:
    """Processes of a group that still do something (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


async def until(condition: Any, within_s: float) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await anyio.sleep(0.02)
