"""Where a job stands, read from the disk alone: the run's journal and whether a worker still holds the run's lock.

Any server process can read it, also one that was started after the job.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from ..engine.errors import Failure
from ..engine.journal import Entry
from ..engine.run import RunFolder
from .ownership import is_owned

JobStatus = Literal["running", "finished", "failed", "cancelled", "interrupted"]
ENDED: frozenset[JobStatus] = frozenset({"finished", "failed", "cancelled", "interrupted"})

STARTED, FINISHED, STOPPED, DELIVERED, PROGRESS = (
    "job_started",
    "job_finished",
    "job_stopped",
    "job_delivered",
    "progress",
)
"""Journal entries of a job: written by the server at the start, by the worker at its end, by whoever stops it, by the server
when a client was told the outcome, and by the worker on the way."""

EXIT_UNRECORDED = 28
"""A worker that could not write its end to the journal leaves with this code."""

_NOT_THE_WORK = ("wait_s", "detail")
"""Arguments that say how to answer, not what to do."""


@dataclass(frozen=True)
class JobState:
    """One job of a run. `report` is filled when it finished, `error` when it failed or was interrupted.

    Times are seconds since the epoch; `ended_at` is None while it runs and where the worker died without a word.
    """

    job_id: str
    tool: str
    arguments: dict[str, Any]
    pid: int
    status: JobStatus
    started_at: float
    ended_at: float | None = None
    progress: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    error: Failure | None = None
    delivered: bool = False

    def is_for(self, tool: str, arguments: dict[str, Any]) -> bool:
        """True when this job does just what such a call asks for."""
        return identity(self.tool, self.arguments) == identity(tool, arguments)


def identity(tool: str, arguments: dict[str, Any]) -> str:
    """Canonical text of a request; how long to wait and how much to show are no part of it."""
    work = {name: value for name, value in arguments.items() if name not in _NOT_THE_WORK}
    return json.dumps([tool, work], sort_keys=True, default=str)


def read_state(run: RunFolder, job_id: str | None = None) -> JobState | None:
    """Return the state of a job, by default the newest; None when the run has none."""
    # The lock is looked at before the journal: where it is free, all that the worker wrote is there to be read.
    owned = is_owned(run)
    starts = list(run.journal.read(STARTED))
    start = next((entry for entry in reversed(starts) if job_id in {None, entry.body["job_id"]}), None)
    if start is None:
        return None
    running = owned and start is starts[-1]
    own = [
        entry
        for entry in run.journal.read(FINISHED, STOPPED, DELIVERED, after=start.seq)
        if entry.body["job_id"] == start.body["job_id"]
    ]
    finished = next((entry for entry in own if entry.kind == FINISHED), None)
    stopped = next((entry for entry in own if entry.kind == STOPPED), None)
    progress = _progress(run, start)
    common: dict[str, Any] = {
        "job_id": start.body["job_id"],
        "tool": start.body["tool"],
        "arguments": start.body["arguments"],
        "pid": start.body["pid"],
        "started_at": start.at,
        "progress": progress,
        "delivered": any(entry.kind == DELIVERED for entry in own),
    }
    ended = finished or (None if running else stopped)
    if ended is not None:
        error = ended.body.get("error")
        return JobState(
            **common,
            status=ended.body["status"],
            ended_at=ended.at,
            report=ended.body.get("report"),
            error=Failure(**error) if error else None,
        )
    if running:
        return JobState(**common, status="running")
    return JobState(
        **common,
        status="interrupted",
        error=Failure(
            "error",
            f"the worker of {start.body['tool']} died before it finished (killed, out of memory, or the server ended); "
            "everything it had finished is kept and the same call resumes",
        ),
    )


def _progress(run: RunFolder, start: Entry) -> dict[str, Any] | None:
    newest = run.journal.last(PROGRESS)
    if newest is None or newest.seq < start.seq or newest.body.get("job_id") != start.body["job_id"]:
        return None
    return {name: value for name, value in newest.body.items() if name != "job_id"}
