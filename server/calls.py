"""One tool call: check the arguments, start or join the work, wait a bounded time, answer with a report or one clean sentence.

A client that cancels its request stops waiting; the job goes on, because clients also cancel when their own patience ends.
`cancel_run` is what ends a job.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

import anyio.to_thread
from mcp_types import CallToolResult
from pydantic import ValidationError

from ..engine.errors import MleStarError
from ..engine.run import RunFolder
from ..tools.contract import JobRequest, Report, Request, Tool, call
from ..tools.profile_dataset import ProfileRequest
from ..tools.workspace import Workspace, progress_of
from .errors import argument_message, disk_full_message, is_disk_full, unexpected_message
from .job_state import ENDED, JobState
from .jobs import Jobs
from .opening import PROFILE, discard_if_never_opened, open_for, profile_arguments, profile_report
from .ownership import alone_in_opening
from .settings import Settings
from .structured import tool_error, tool_result
from .tracing import add_facts, tell_of_call, tell_of_job

NOTIFY_EVERY_S = 0.5
"""Progress notifications go out at most so often."""
SILENT_AT_MOST_S = 10.0
"""And at least so often, also when the work says nothing new."""

log = logging.getLogger(__name__)

Notify = Callable[[float, float | None, str], Awaitable[None]]
"""Send progress: seconds worked, the budget in seconds, a message."""


@dataclass
class Handover:
    """The job that a call leaves at work, for a client that asks for it later instead of waiting; no run where there is none."""

    run: RunFolder | None = None
    job_id: str = ""


handover: ContextVar[Handover | None] = ContextVar("handover", default=None)
"""Set around a call whose client does not wait."""


class Caller:
    """Carries out tool calls on one home folder."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._settings = settings
        self._jobs = jobs

    async def call(self, tool: Tool, arguments: dict[str, Any], notify: Notify) -> CallToolResult:
        """Answer a call; every failure becomes a tool error with a text for the model."""
        add_facts(tool=tool.name, run_id=str(arguments.get("run_id") or ""))
        result = await self._result(tool, arguments, notify)
        tell_of_call(tool.name, result)
        return result

    async def _result(self, tool: Tool, arguments: dict[str, Any], notify: Notify) -> CallToolResult:
        try:
            request = parse(tool.request, arguments)
            return await self._answer(tool, request, notify)
        except ValidationError as error:
            return tool_error(argument_message(error, tool.name, tool.request))
        except MleStarError as error:
            return tool_error(str(error))
        except Exception as error:  # the boundary to the client: details go to the log, never out
            log.exception("%s failed", tool.name)
            if is_disk_full(error):
                return tool_error(disk_full_message(""))
            return tool_error(unexpected_message(error, tool.name, ""))

    async def _answer(self, tool: Tool, request: Request, notify: Notify) -> CallToolResult:
        workspace = Workspace(self._settings.home, Steering(self._jobs, notify))
        if tool.answer is not None:
            if iscoroutinefunction(tool.answer):
                report = await tool.answer(request, workspace)
            else:
                report = await anyio.to_thread.run_sync(tool.answer, request, workspace)
            body = report.model_dump(mode="json")
            if tool.window:
                # A step of the workflow leaves its report, as those in the worker do.
                workspace.run(report.run_id).journal.append("report", {"tool": tool.name, "report": body})
            return tool_result(body, tool.name)
        assert isinstance(request, JobRequest)
        if isinstance(request, ProfileRequest):
            run, job_id = await self._open(request)
            if job_id is None:
                return tool_result(profile_report(run) or {})
        else:
            run = workspace.run(request.run_id)
            job_id = await self._jobs.submit(run, tool.name, request.model_dump(mode="json", exclude={"run_id"}))
        left = handover.get()
        state = await watch(self._jobs, run, job_id, 0.0 if left else request.wait_s, notify)
        if state.status not in ENDED:
            if left is not None:
                left.run, left.job_id = run, job_id
            return tool_result(running_report(run, state).model_dump(mode="json"))
        settle(self._jobs, run, state)
        return outcome(state)

    async def _open(self, request: ProfileRequest) -> tuple[RunFolder, str | None]:
        """The run for a request and the job that profiles it; no job where an earlier run has the answer."""
        arguments = profile_arguments(request, self._settings)
        async with alone_in_opening(self._settings.make_home()):
            run, done = await anyio.to_thread.run_sync(open_for, request, self._settings, self._jobs)
            if done and request.detail == "brief":
                return run, None
            try:
                return run, await self._jobs.submit(run, PROFILE, arguments)
            except BaseException:
                if self._jobs.state(run) is None:
                    run.remove()
                raise


class Steering:
    """What tools may do with jobs, see `tools.workspace`; progress goes to the client of this call."""

    def __init__(self, jobs: Jobs, notify: Notify) -> None:
        self._jobs = jobs
        self._notify = notify

    def state(self, run: RunFolder) -> JobState | None:
        """Return the run's newest job."""
        return self._jobs.state(run)

    async def wait(self, run: RunFolder, timeout_s: float) -> JobState | None:
        """Wait for the newest job; a run that turns out never to have opened is removed."""
        state = self._jobs.state(run)
        if state is None:
            return None
        if state.status == "running" and timeout_s > 0:
            state = await watch(self._jobs, run, state.job_id, timeout_s, self._notify)
        settle(self._jobs, run, state)
        return state

    async def cancel(self, run: RunFolder) -> JobState | None:
        """End the job."""
        state = await self._jobs.cancel(run)
        if state is not None:
            settle(self._jobs, run, state)
        return state


def outcome(state: JobState) -> CallToolResult:
    """What a client is told of a job that has ended."""
    if state.report is not None:
        return tool_result(state.report, state.tool)
    return tool_error(state.error.message if state.error else f"{state.tool} {state.status}")


def settle(jobs: Jobs, run: RunFolder, state: JobState) -> None:
    """Count the end of a job as told to a client; a run that turns out never to have opened is removed."""
    if not discard_if_never_opened(run, state):
        tell_of_job(run, state)
        jobs.mark_delivered(run, state)


async def watch(jobs: Jobs, run: RunFolder, job_id: str, wait_s: float, notify: Notify) -> JobState:
    """Wait for a job and tell the client where it stands: progress is the seconds since it began or was queued, which only grow."""
    until = time.monotonic() + wait_s
    sent_at = 0.0

    async def tell(event: dict[str, Any] | None) -> None:
        nonlocal sent_at
        now = time.monotonic()
        if now - sent_at < NOTIFY_EVERY_S:
            return
        sent_at = now
        worked = worked_s + now - began
        await notify(round(worked, 1), budget_s if budget_s > worked else None, progress_text(event))

    first, began = jobs.state(run, job_id), time.monotonic()
    worked_s = first.worked_s if first is not None else 0.0
    budget_s = float(first.arguments.get("time_budget_s") or 0.0) if first is not None else 0.0
    while True:
        left = until - time.monotonic()
        state = await jobs.wait(run, job_id, max(0.0, min(SILENT_AT_MOST_S, left)), tell)
        if state.status != "running" or time.monotonic() >= until:
            return state
        await tell(state.progress)


def running_report(run: RunFolder, state: JobState) -> Report:
    """What a slow tool answers when its patience ends before the work does."""
    doing = "waits for its turn" if state.queued else "is at work"
    return Report(
        run_id=run.run_id,
        status="running",
        summary=f"{state.tool} {doing} on {run.run_id} ({state.worked_s:.0f} s so far): {progress_text(state.progress)}.",
        next=call("get_run", run.run_id, wait_s=45),
        progress=progress_of(state),
    )


def parse(model: type[Request], arguments: dict[str, Any]) -> Request:
    """Validate arguments. Some clients send lists and objects as JSON text, and numbers where text is meant: those that fail are
    read as such once."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        wrong = {item["loc"][0] for item in error.errors(include_url=False) if item["loc"]}
        decoded = {name: _decoded(value) if name in wrong else value for name, value in arguments.items()}
        # Where that does not help either, the error names what the client sent.
        with suppress(ValidationError):
            return model.model_validate(decoded)
        raise


def _decoded(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def progress_text(event: dict[str, Any] | None) -> str:
    """A progress event in one line: `baselines 3/9: lightgbm scored, best 0.846`."""
    if not event:
        return "starting"
    count = f" {event['done']}/{event['total']}" if event.get("total") else ""
    best = f", best {event['best_score']:.5g}" if event.get("best_score") is not None else ""
    return f"{event.get('phase', '')}{count}: {event.get('message', '')}{best}"
