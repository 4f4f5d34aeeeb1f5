"""Where a job stands, read from the disk alone: the run's journal and whether a worker still holds the run's lock.

Any server process can read it, also one that was started after the job.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..engine.errors import Failure
from ..engine.journal import Entry
from ..engine.run import RunFolder
from .ownership import owner_of

JobStatus = Literal["running", "finished", "failed", "cancelled", "interrupted"]
ENDED: frozenset[JobStatus] = frozenset({"finished", "failed", "cancelled", "interrupted"})

QUEUED, STARTED, FINISHED, STOPPED, DELIVERED, PROGRESS = (
    "job_queued",
    "job_started",
    "job_finished",
    "job_stopped",
    "job_delivered",
    "progress",
)
"""Journal entries of a job: written by the server when it has to wait for its turn and at the start, by the worker at its end, by
whoever stops it, by the server when a client was told the outcome, and by the worker on the way."""

IN_LINE = "queued"
"""The phase that the progress of a job shows while it waits for its turn."""

EXIT_UNRECORDED = 28
"""A worker that could not write its end to the journal leaves with this code."""

_NOT_THE_WORK = ("wait_s", "detail")
"""Arguments that say how to answer, not what to do."""


@dataclass(frozen=True)
class JobState:
    """One job of a run. `report` is filled when it finished, `error` when it failed or was interrupted.

    Times are seconds since the epoch; `ended_at` is None while it runs and where the worker died without a word. `worked_s` is how
    long it has run or waited, `seconds_left` what is left of its budget; both are filled while it runs. A job that waits for its
    turn is `running` too, without a process (`pid` 0).
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
    worked_s: float = 0.0
    seconds_left: float | None = None

    @property
    def queued(self) -> bool:
        """True while it waits for its turn."""
        return self.status == "running" and self.pid == 0

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
    owner = owner_of(run)
    begins = list(run.journal.read(QUEUED, STARTED))
    begin = next((entry for entry in reversed(begins) if job_id in {None, entry.body["job_id"]}), None)
    if begin is None:
        return None
    own_id = begin.body["job_id"]
    running = owner == own_id
    own = [
        entry
        for entry in run.journal.read(FINISHED, STOPPED, DELIVERED, after=begin.seq)
        if entry.body["job_id"] == own_id
    ]
    finished = next((entry for entry in own if entry.kind == FINISHED), None)
    stopped = next((entry for entry in own if entry.kind == STOPPED), None)
    # Where a worker was replaced, the work began with the first one.
    started_at = next(entry.at for entry in begins if entry.kind == begin.kind and entry.body["job_id"] == own_id)
    common: dict[str, Any] = {
        "job_id": own_id,
        "tool": begin.body["tool"],
        "arguments": begin.body["arguments"],
        "pid": begin.body.get("pid", 0),
        "started_at": started_at,
        "progress": _progress(run, begin),
        "delivered": any(entry.kind == DELIVERED for entry in own),
    }
    # A job in line has no process to wait for: once stopped it has ended, though its server may still hold the lock.
    ended = finished or (None if running and begin.kind == STARTED else stopped)
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
        return at_work(JobState(**common, status="running"), time.time() - started_at)
    return JobState(
        **common,
        status="interrupted",
        error=Failure(
            "error",
            f"the worker of {begin.body['tool']} died before it finished (killed, out of memory, or the server ended); "
            "everything it had finished is kept and the same call resumes",
        ),
    )


def settled_state(run: RunFolder, job_id: str, within_s: float) -> JobState | None:
    """The state of a job whose worker is gone: its last threads may hold the lock for a moment longer."""
    until = time.monotonic() + within_s
    while (state := read_state(run, job_id)) is not None and state.status == "running" and time.monotonic() < until:
        time.sleep(0.02)
    return state


def at_work(state: JobState, worked_s: float) -> JobState:
    """Fill in how long a running job has worked and what is left of its budget; a clock that was set back counts as no time."""
    worked_s = max(0.0, worked_s)
    budget_s = float(state.arguments.get("time_budget_s") or 0.0)
    left_s = None if state.queued or not budget_s else round(max(0.0, budget_s - worked_s), 1)
    return replace(state, worked_s=worked_s, seconds_left=left_s)


def newest_job_number(run: RunFolder) -> int:
    """How many jobs the run has had."""
    newest = run.journal.last(QUEUED, STARTED)
    return int(newest.body["job_id"].rpartition("_")[2]) if newest else 0


def recorded_report(run: RunFolder, job_id: str) -> dict[str, Any] | None:
    """The report that the job, or the one it resumes, has left before its worker died: then the work is done, but for its end.

    A job resumes the one before it that asked for the same and never finished.
    """
    since, asked, tool = 0, None, ""
    for entry in run.journal.read(STARTED, FINISHED):
        if entry.kind == FINISHED:
            since, asked = 0, None
        elif (wanted := identity(entry.body["tool"], entry.body["arguments"])) != asked:
            since, asked, tool = entry.seq, wanted, entry.body["tool"]
        if entry.body["job_id"] == job_id:
            break
    reports = run.journal.read("report", after=since)
    return next((dict(entry.body["report"]) for entry in reports if since and entry.body["tool"] == tool), None)


def was_stopped(run: RunFolder, job_id: str, since: int) -> Entry | None:
    """The entry with which somebody stopped a job after this point of the journal."""
    entries = run.journal.read(STOPPED, after=since)
    return next((entry for entry in entries if entry.body["job_id"] == job_id), None)


def _progress(run: RunFolder, begin: Entry) -> dict[str, Any] | None:
    """The job's newest progress event; what was told while it waited in line is over once it has begun."""
    newest = run.journal.last(PROGRESS)
    if newest is None or newest.seq < begin.seq or newest.body.get("job_id") != begin.body["job_id"]:
        return None
    return {name: value for name, value in newest.body.items() if name != "job_id"}
