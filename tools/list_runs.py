"""list_runs: the runs on this machine, newest first."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Annotated

import anyio.lowlevel
from pydantic import BaseModel, Field

from ..engine.run import RunFolder
from .contract import Report, Request, Status, Tool
from .workspace import Workspace

_ROWS_AT_ONCE = 10


class ListRunsRequest(Request):
    """Arguments of `list_runs`."""

    limit: Annotated[int, Field(ge=1, le=200, description="Runs to show, newest first.")] = 20


class RunRow(BaseModel):
    """A run in one line."""

    run_id: str
    status: Status
    opened: str = Field(description="UTC.")
    target: str
    task: str
    metric: str
    last_step: str


class ListRunsReport(Report):
    """The runs."""

    total: int = 0
    runs: list[RunRow] = Field(default_factory=list)


async def answer(request: ListRunsRequest, workspace: Workspace) -> ListRunsReport:
    """List them; now and then other calls get their turn."""
    found = workspace.runs()
    rows: list[RunRow] = []
    damaged: list[str] = []
    for run in found[: request.limit]:
        try:
            rows.append(_row(run, workspace))
        except (OSError, sqlite3.Error):
            # It may be removed just now, or its file is broken; the others are there all the same.
            damaged.append(run.run_id)
        if len(rows) % _ROWS_AT_ONCE == 0:
            await anyio.lowlevel.checkpoint()
    more = f", the newest {len(rows)} are shown" if len(rows) < len(found) else ""
    return ListRunsReport(
        summary=f"{len(found)} runs{more}." if found else "There is no run yet.",
        next="get_run(run_id)" if found else "profile_dataset(path, target)",
        total=len(found),
        runs=rows,
        notes=[f"{run_id} cannot be read; its folder is damaged or was just removed" for run_id in damaged],
    )


def _row(run: RunFolder, workspace: Workspace) -> RunRow:
    job = workspace.steering.state(run) if workspace.steering is not None else None
    profile, newest, first = run.journal.last("profile"), run.journal.last("report"), run.path.stat().st_mtime
    at = next((entry.at for entry in run.journal.read("opened", "profile")), first)
    return RunRow(
        run_id=run.run_id,
        status=job.status if job is not None else "finished",
        opened=datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M"),
        target=profile.body["target"] if profile else "",
        task=profile.body["task"]["kind"] if profile else "",
        metric=profile.body["task"]["metric"] if profile else "",
        last_step=newest.body["tool"] if newest else "",
    )


TOOL = Tool(
    name="list_runs",
    title="List runs",
    description="The runs on this machine, newest first: handle, status, target, metric, last step. Milliseconds. Next: get_run.",
    request=ListRunsRequest,
    report=ListRunsReport,
    answer=answer,
    read_only=True,
)
