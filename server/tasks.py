"""Slow tools as tasks (SEP-2663), for clients of the 2026 protocol that declare `io.modelcontextprotocol/tasks`.

A task is one tool call on one job of a run: which one stands in a file of the home folder, how it goes in the run's journal. So
every server process on that folder answers for it, also one that was started later. No tool asks for anything while it works, so a
task is never `input_required`; notifications are optional and not sent: clients poll.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, CallToolRequestParams, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..engine.run import RunFolder, runs_folder
from .calls import Handover, handover, outcome, running_report, settle
from .job_state import ENDED, QUEUED, STARTED, JobState
from .jobs import Jobs
from .settings import Settings

IDENTIFIER = "io.modelcontextprotocol/tasks"
KEPT_S = 7 * 86_400
"""A task can be asked for so long after its call; the longest job takes a day."""
POLL_INTERVAL_S = 1
RESUMED_WITHIN_S = 5.0
"""A job whose worker died has not ended for a client before so long: the server that owns it may start it again."""
_TASK_ID = re.compile(r"run_[a-z0-9_]{1,60}_\d{4,12}-job_\d{1,9}-[0-9a-f]{16}")
"""Short enough for a file's name on every file system."""

log = logging.getLogger(__name__)


class TaskParams(RequestParams):
    """Arguments of `tasks/get`, `tasks/update` and `tasks/cancel`; what else comes with them has no meaning here."""

    task_id: str


@dataclass(frozen=True)
class Task:
    """A tool call that a client asks for later. Times are seconds since the epoch.

    Attributes
    ----------
    begun_at : float or None
        When the run's first job was asked for: a run whose opening failed is removed, and its handle may be given to another.
    end : dict or None
        What `tasks/get` says of its end, once it was said: it stays so when the run is removed.
    """

    task_id: str
    run_id: str
    job_id: str
    tool: str
    begun_at: float | None
    created_at: float
    end: dict[str, Any] | None = None


class Tasks(Extension):
    """The extension on one home folder."""

    identifier = IDENTIFIER

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._home = settings.home
        self._jobs = jobs
        self._interrupted: dict[str, float] = {}

    def methods(self) -> Sequence[MethodBinding]:
        """Return `tasks/get`, `tasks/update` and `tasks/cancel`."""
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        handlers = {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}
        return [MethodBinding(method, TaskParams, handler, modern) for method, handler in handlers.items()]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task where a call of such a client has left a job at work; with its result where not."""
        if not _declared(ctx):
            return await call_next(ctx)
        with _job_left() as left:
            result = await call_next(ctx)
        if left.run is None:
            return result
        try:
            task = await anyio.to_thread.run_sync(partial(_create, self._home, left.run, left.job_id, params.name))
        except (OSError, sqlite3.Error):
            # The disk is full, say. The job is at work all the same, and the plain answer says how to wait for it.
            log.warning("a task of %s could not be recorded", left.run.run_id, exc_info=True)
            return result
        return {"resultType": "task", **_described(task), "status": "working", "lastUpdatedAt": _iso(task.created_at)}

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        task = await self._asked_for(ctx, params)
        if task.end is not None:
            return {**_described(task), **task.end}
        state = await anyio.to_thread.run_sync(self._state, task)
        if state is not None and state.status == "interrupted":
            since = self._interrupted.setdefault(task.task_id, time.monotonic())
            if time.monotonic() - since < RESUMED_WITHIN_S:
                message = f"the worker of {task.tool} died; the work goes on if its server resumes it"
                now = _iso(time.time())
                return {**_described(task), "status": "working", "statusMessage": message, "lastUpdatedAt": now}
        else:
            self._interrupted.pop(task.task_id, None)
        if state is None or state.status in ENDED:
            return {**_described(task), **await anyio.to_thread.run_sync(self._ended, task, state)}
        message = running_report(self._run(task), state).summary
        return {**_described(task), "status": "working", "statusMessage": message, "lastUpdatedAt": _iso(time.time())}

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        await self._asked_for(ctx, params)
        return {}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        task = await self._asked_for(ctx, params)
        state = await anyio.to_thread.run_sync(self._state, task)
        if task.end is not None or state is None or state.status in ENDED:
            return {}
        await self._jobs.cancel(self._run(task))
        state = await anyio.to_thread.run_sync(self._state, task)
        if state is not None and state.status in ENDED:
            await anyio.to_thread.run_sync(self._ended, task, state)
        return {}

    async def _asked_for(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> Task:
        require_client_extension(ctx, IDENTIFIER)
        # The SDK compares this header only for the methods it knows itself.
        if ctx.request is not None and decode_header_value(ctx.request.headers.get(MCP_NAME_HEADER)) != params.task_id:
            raise MCPError(
                code=HEADER_MISMATCH, message=f"{MCP_NAME_HEADER} header does not match the request's taskId"
            )
        return await anyio.to_thread.run_sync(_load, self._home, params.task_id)

    def _run(self, task: Task) -> RunFolder:
        return RunFolder(runs_folder(self._home) / task.run_id)

    def _state(self, task: Task) -> JobState | None:
        """How the task's job stands; None where its run is gone."""
        run = self._run(task)
        if _begun_at(run) != task.begun_at:
            return None
        return self._jobs.state(run, task.job_id)

    def _ended(self, task: Task, state: JobState | None) -> dict[str, Any]:
        """What a client is told of the end. It is kept before the run counts as told, because that may remove the run."""
        end = _end(task, state)
        if state is None or state.status == "interrupted":
            # Another server may be about to replace the worker that died; what is not kept can still turn out better.
            return end
        try:
            _save(self._home, replace(task, end=end))
        except OSError:
            log.warning("the end of %s could not be recorded", task.task_id, exc_info=True)
        else:
            settle(self._jobs, self._run(task), state)
        return end


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    declared = (capabilities.extensions if capabilities else None) or {}
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and IDENTIFIER in declared


@contextmanager
def _job_left() -> Iterator[Handover]:
    """Let calls inside leave their job at work; yields which."""
    left = Handover()
    before = handover.set(left)
    try:
        yield left
    finally:
        handover.reset(before)


def _begun_at(run: RunFolder) -> float | None:
    first = next(run.journal.read(QUEUED, STARTED), None)
    return first.at if first else None


def _described(task: Task) -> dict[str, Any]:
    """The part of a task that never changes."""
    return {
        "taskId": task.task_id,
        "createdAt": _iso(task.created_at),
        "ttlMs": 1000 * KEPT_S,
        "pollIntervalMs": 1000 * POLL_INTERVAL_S,
    }


def _end(task: Task, state: JobState | None) -> dict[str, Any]:
    updated = {"lastUpdatedAt": _iso(state.ended_at if state and state.ended_at else time.time())}
    if state is None:
        message = f"{task.run_id} was removed, and with it what {task.tool} had found; call {task.tool} again"
        return {"status": "failed", "error": {"code": INTERNAL_ERROR, "message": message}, **updated}
    if state.status == "cancelled":
        return {"status": "cancelled", "statusMessage": state.error.message if state.error else "", **updated}
    result = outcome(state).model_dump(by_alias=True, mode="json", exclude_none=True)
    return {"status": "completed", "result": result, **updated}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _create(home: Path, run: RunFolder, job_id: str, tool: str) -> Task:
    """Make a task and forget those that are too old."""
    now = time.time()
    folder = _folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.glob("*.json"):
        # Another server may remove it at the same moment.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < now - KEPT_S:
                path.unlink()
    task_id = f"{run.run_id}-{job_id}-{secrets.token_hex(8)}"
    task = Task(task_id, run.run_id, job_id, tool, _begun_at(run), now)
    _save(home, task)
    return task


def _save(home: Path, task: Task) -> None:
    path = _folder(home) / f"{task.task_id}.json"
    new = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        new.write_text(json.dumps(asdict(task)), encoding="utf-8")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _load(home: Path, task_id: str) -> Task:
    """Return a task; raises the protocol's "invalid params" for one that is unknown or too old."""
    with suppress(FileNotFoundError):
        if _TASK_ID.fullmatch(task_id):
            task = Task(**json.loads((_folder(home) / f"{task_id}.json").read_text(encoding="utf-8")))
            if time.time() < task.created_at + KEPT_S:
                return task
    raise MCPError(code=INVALID_PARAMS, message=f"no task is called {task_id[:80]}; tools/call starts one")


def _folder(home: Path) -> Path:
    return home / "tasks"
