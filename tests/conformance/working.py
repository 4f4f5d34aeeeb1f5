"""Fixtures that work: tools whose calls are jobs in worker processes, carried out and turned into tasks by the product's own code.

Every call gets a run of its own. `perform` is what their workers do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, require_client_extension
from mcp_types import CallToolResult, InputRequiredResult
from mle_star.engine.errors import InvalidInput
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.calls import Caller
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings
from mle_star.server.tasks import IDENTIFIER
from mle_star.tools.contract import JobRequest, Report, Tool

from .asking import form, question

BUDGET_S = 120


class Request(JobRequest):
    seconds: float = 0.0
    label: str = ""


def perform(
    name: str,
    arguments: dict[str, Any],
    run: RunFolder,
    home: Path,
    threads: int,
    report_progress: Callable[[dict[str, Any]], None],
    memory_mb: int,
) -> Report:
    time.sleep(arguments["seconds"])
    if name == "failing_job":
        raise InvalidInput("this job always fails")
    if name == "protocol_error_job":
        run.remove()
    return Report(run_id=run.run_id, summary=f"{name} {arguments['label']}", next="nothing")


def add(server: MCPServer[None], settings: Settings) -> Jobs:
    """Returns the jobs, to be ended with the server."""
    jobs = Jobs(settings, perform=f"{__name__}:perform")
    caller = Caller(settings, jobs)

    async def work(ctx: Context[None, Any], name: str, seconds: float, label: str = "") -> CallToolResult:
        tool = Tool(name, name, "", Request, Report, work=lambda request, experiment: Report())
        run = create_run(settings.home, name)
        given = {"run_id": run.run_id, "seconds": seconds, "label": label, "time_budget_s": BUDGET_S}
        return await caller.call(tool, given, ctx.report_progress)

    async def slow_compute(seconds: float, ctx: Context[None, Any], label: str = "") -> CallToolResult:
        return await work(ctx, "slow_compute", seconds, label)

    async def failing_job(ctx: Context[None, Any]) -> CallToolResult:
        require_client_extension(ctx.request_context, IDENTIFIER)
        return await work(ctx, "failing_job", 1)

    async def protocol_error_job(ctx: Context[None, Any]) -> CallToolResult:
        return await work(ctx, "protocol_error_job", 0)

    async def test_tool_with_task(ctx: Context[None, Any]) -> CallToolResult | InputRequiredResult:
        require_client_extension(ctx.request_context, IDENTIFIER)
        name = form(ctx, "user_name").get("name")
        if name is None:
            return InputRequiredResult(input_requests={"user_name": question("What is your name?", name="string")})
        return await work(ctx, "greeting", 0, name)

    for tool in (slow_compute, failing_job, protocol_error_job, test_tool_with_task):
        server.add_tool(tool, description="A fixture.", structured_output=False)
    return jobs
