"""Jobs: long work on a run, each in a process group of its own that can be waited for, cancelled and killed. POSIX only.

What a job is and how it stands is on disk (`job_state.py`), so another or a restarted server can read it, wait for it and cancel
it. This module starts workers, one for each job whose turn it is (`line.py`), and looks after those it started: it ends one that
leaves its bounds (`bounds.py`), and when one dies or hangs it starts the work again, once; it goes on from the run's journal. After
that the same call, made again, resumes.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from ..engine.errors import Busy, Failure
from ..engine.run import RunFolder
from . import bounds
from .errors import disk_full_message, failure_of
from .job_state import (
    DELIVERED,
    EXIT_UNRECORDED,
    STARTED,
    STOPPED,
    JobState,
    JobStatus,
    at_work,
    newest_job_number,
    read_state,
    settled_state,
    was_stopped,
)
from .line import Line, Turn
from .ownership import lock_of_dead, take_for, take_lock
from .processes import GRACE_S, WorkerProcess, end_group, start_worker
from .settings import Settings
from .warm import QUIET_S, Spare

PERFORM = f"{__name__.rpartition('.')[0].rpartition('.')[0]}.tools.workflow:perform"
"""What a worker calls: `perform(name, arguments, run, home, threads, report_progress, memory_mb) -> Report`."""

POLL_S = 0.1
"""How often a waiting call looks at the journal, and how soon the death of a worker is noticed."""
BOUNDS_POLL_S = 0.5
LEAST_S = 5.0
"""What a replacement gets at least, to end with something."""
log = logging.getLogger(__name__)

OnProgress = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class _Worker:
    """A worker this process started. `started` is when the job began, also where this worker replaces another one."""

    run: RunFolder
    job_id: str
    tool: str
    process: WorkerProcess
    stop_at: float
    budget_s: float
    started: float
    arguments: dict[str, Any]
    resumed: bool
    stopped: bool = False
    replaced: bool = False
    """Another one has its place in the line; else that is free once it is gone."""


class Jobs:
    """Start, join, wait for and end jobs. Use it from one event loop; call `shutdown` when leaving.

    Parameters
    ----------
    settings : Settings
        Threads, memory and default budget of a job, and how many may run at once.
    perform : str
        `module:function` the worker calls, see `PERFORM`.
    """

    def __init__(self, settings: Settings, perform: str = PERFORM) -> None:
        self._settings = settings
        self._perform = perform
        self._line = Line(settings.max_jobs)
        self._spare = Spare(settings, perform)
        self._workers: dict[tuple[str, str], _Worker] = {}
        self._unrecorded: dict[tuple[str, str], Failure] = {}
        self._entering: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._ending = threading.Event()

    async def keep_warm(self) -> None:
        """Keep a worker in waiting whenever nothing is at work, until cancelled or where it is not wanted."""
        while self._spare.wanted:
            await anyio.sleep(QUIET_S)
            if self._line.idle:
                await anyio.to_thread.run_sync(self._spare.keep)

    async def submit(self, run: RunFolder, name: str, arguments: dict[str, Any]) -> str:
        """Start a job on a run, or put it in line, and return its id; or join the one that does the same.

        A job that ended since the last call asked for the same, and whose outcome nobody was told yet, is joined too. Raises
        `Busy` when the run has other work or too many wait, `DiskFull` where the work could not be written.
        """
        arguments = {**arguments, "time_budget_s": arguments.get("time_budget_s") or self._budget_s(run)}
        # Of two calls at once, the second one sees what the first has begun, not a lock that is taken on a job that is dead.
        async with self._entering.setdefault(run.run_id, anyio.Lock()):
            return await self._join_or_begin(run, name, arguments)

    async def _join_or_begin(self, run: RunFolder, name: str, arguments: dict[str, Any]) -> str:
        patience = time.monotonic() + 2 * GRACE_S
        while True:
            state = self.state(run)
            if state is not None and state.is_for(name, arguments) and _can_join(state):
                return state.job_id
            if state is not None and state.status == "running":
                doing = "waits for its turn" if state.queued else "is still working"
                raise Busy(
                    f"{state.tool} {doing} on {run.run_id} ({state.worked_s:.0f} s so far); wait with "
                    f"get_run(run_id={run.run_id!r}, wait_s=45) or stop it with cancel_run(run_id={run.run_id!r})"
                )
            bounds.check_disk(self._settings.home)
            lock = take_lock(run)
            if lock is not None:
                return await anyio.to_thread.run_sync(partial(self._enter, run, name, arguments, lock))
            # A worker whose job has ended is leaving, or another server is just starting one.
            if time.monotonic() > patience:
                raise Busy(f"another process holds {run.run_id}; call get_run(run_id={run.run_id!r}) in a few seconds")
            await anyio.sleep(POLL_S)

    async def wait(
        self, run: RunFolder, job_id: str, timeout_s: float, on_progress: OnProgress | None = None
    ) -> JobState:
        """Wait until a job has ended, at most so many seconds, and return its state; `on_progress` gets every new event."""
        until = time.monotonic() + timeout_s
        told: dict[str, Any] | None = None
        while True:
            state = self.state(run, job_id)
            if state is None:
                raise LookupError(f"{run.run_id} has no {job_id}")
            if on_progress is not None and state.progress is not None and state.progress != told:
                told = state.progress
                await on_progress(told)
            left = until - time.monotonic()
            if state.status != "running" or left <= 0:
                return state
            await anyio.sleep(min(POLL_S, left))

    def state(self, run: RunFolder, job_id: str | None = None) -> JobState | None:
        """Return where a job stands, by default the newest of the run; None when there was none."""
        state = read_state(run, job_id)
        if state is None:
            return None
        key = run.run_id, state.job_id
        worker = self._workers.get(key)
        if state.status == "interrupted":
            if (failure := self._unrecorded.get(key)) is not None:
                return replace(state, status="failed", error=failure)
            if worker is None or self._ending.is_set():
                return state
            # Its worker has died a moment ago and is being replaced, or is about to be given up.
            state = replace(state, status="running", error=None)
        if state.status == "running" and worker is not None:
            # The clock of the wall may have been set since the job began.
            return at_work(state, time.monotonic() - worker.started)
        return state

    async def cancel(self, run: RunFolder) -> JobState | None:
        """End the run's job, whichever server started it, within two seconds; what it had finished is kept.

        Returns the state it ended in, which is `finished` when it was faster.
        """
        state = self.state(run)
        if state is None or state.status != "running":
            return state
        failure = Failure("error", f"{state.tool} was cancelled; everything it had finished is kept")
        await anyio.to_thread.run_sync(partial(self._cancel, run, state, failure))
        return await self.wait(run, state.job_id, GRACE_S)

    def _cancel(self, run: RunFolder, state: JobState, failure: Failure) -> None:
        """Stop a job that works or waits, here or in another server."""
        _stop(run, state.job_id, state.pid, "cancelled", failure)
        if self._line.remove(run, state.job_id) or not state.queued:
            return
        # Its turn may have come since it was looked at.
        now = read_state(run, state.job_id)
        end_group(now.pid if now is not None and now.status == "running" else 0)

    def mark_delivered(self, run: RunFolder, state: JobState) -> None:
        """Remember that a client was told how a job ended: the same call now means new work."""
        if state.status != "running" and not state.delivered:
            # Told, also where that cannot be written because the disk is still full.
            self._unrecorded.pop((run.run_id, state.job_id), None)
            run.journal.append(DELIVERED, {"job_id": state.job_id})

    def shutdown(self) -> None:
        """End all workers this object started; their runs read as interrupted and resume when asked."""
        self._ending.set()
        self._line.close()
        self._spare.close()
        groups = [worker.process.pid for worker in list(self._workers.values())]
        enders = [threading.Thread(target=end_group, args=(group,)) for group in groups]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def _budget_s(self, run: RunFolder) -> float:
        """The budget the run was opened with, else the default."""
        entry = run.journal.last("budget")
        return float(entry.body["time_budget_s"]) if entry else self._settings.time_budget_s

    def _enter(self, run: RunFolder, name: str, arguments: dict[str, Any], lock: int) -> str:
        """Begin a job, or leave it in line with the run's lock."""
        try:
            turn = Turn(run, f"job_{newest_job_number(run) + 1:03d}", name, arguments, lock)
            take_for(lock, turn.job_id)
            first = self._line.enter(turn)
        except BaseException:
            os.close(lock)
            raise
        if first:
            try:
                self._begin(turn)
            except BaseException:
                self._pass_on()
                raise
        return turn.job_id

    def _pass_on(self) -> None:
        """Let the first in line begin in the place of a job that has ended."""
        while (turn := self._line.leave()) is not None:
            try:
                self._begin(turn)
            except Exception as error:  # the boundary of a thread: the next in line must not wait for ever
                log.exception("%s on %s could not begin when its turn came", turn.tool, turn.run.run_id)
                failure = failure_of(error, turn.tool, turn.run.run_id)
                with suppress(OSError, sqlite3.Error):
                    _stop(turn.run, turn.job_id, 0, "failed", failure)
                continue
            # It is at work: what cannot be read now must not start one more in the same place.
            with suppress(OSError, sqlite3.Error):
                self._obey(turn.run, turn.job_id, turn.queued_at)
            return

    def _begin(self, turn: Turn, replaces: _Worker | None = None) -> None:
        """Give a job to a worker with the run's lock, and record it before the worker begins.

        One that replaces another goes on with its job, in what is left of its time.
        """
        run, now = turn.run, time.monotonic()
        budget_s = float(turn.arguments["time_budget_s"])
        if replaces:
            budget_s = max(LEAST_S, replaces.budget_s - (now - replaces.started))
        order = {
            "run": str(run.path),
            "job_id": turn.job_id,
            "tool": turn.tool,
            "arguments": {**turn.arguments, "time_budget_s": budget_s},
            "home": str(self._settings.home),
            "threads": self._settings.threads,
            "memory_mb": self._settings.memory_mb,
            "perform": self._perform,
        }
        try:
            with run.log_path.open("ab") as file:
                process = self._spare.take() or start_worker(self._settings)
                try:
                    started = {"job_id": turn.job_id, "tool": turn.tool, "arguments": turn.arguments}
                    run.journal.append(STARTED, {**started, "pid": process.pid, "budget_s": budget_s})
                    # One that dies before it has taken its order is replaced as any other that dies.
                    with suppress(OSError):
                        process.order(order, turn.lock, file.fileno())
                except BaseException:
                    process.end()
                    raise
        finally:
            os.close(turn.lock)
        worker = _Worker(
            run,
            turn.job_id,
            turn.tool,
            process,
            bounds.latest_end(now, budget_s),
            budget_s,
            replaces.started if replaces else now,
            turn.arguments,
            replaces is not None,
        )
        self._unrecorded.pop((run.run_id, turn.job_id), None)
        self._workers[run.run_id, turn.job_id] = worker
        threading.Thread(
            target=self._look_after, args=(worker,), daemon=True, name=f"{run.run_id}-{turn.job_id}"
        ).start()
        if replaces:
            replaces.replaced = True
        if self._ending.is_set():
            end_group(process.pid)

    def _look_after(self, worker: _Worker) -> None:
        """Watch one worker until it is gone and, where it died, replace it; whatever happens, its place is free after that."""
        try:
            self._see_to_its_end(worker)
        except Exception:  # the boundary of a thread: nobody else would hear of it
            log.exception("looking after the worker of %s in %s failed", worker.tool, worker.run.run_id)
        finally:
            key = worker.run.run_id, worker.job_id
            # Not ours where its run was removed and the next one got the same name.
            if self._workers.get(key) is worker:
                del self._workers[key]
            if not worker.replaced:
                self._pass_on()

    def _see_to_its_end(self, worker: _Worker) -> None:
        """Watch one worker until it is gone, take its group and its channel away, and replace it where it died without a word."""
        process, look_at = worker.process, 0.0
        silent_s = 0.0
        while process.alive:
            now = time.monotonic()
            failure = bounds.overrun(worker.tool, worker.budget_s) if now > worker.stop_at else None
            if failure is None and now > look_at:
                look_at = now + BOUNDS_POLL_S
                failure = bounds.outgrown(worker.tool, process.pid, self._settings.memory_mb)
                failure = failure or bounds.disk_ran_low(worker.tool, self._settings.home)
            # Counted in looks, not by the clock: where this process was stopped too, the worker had no chance to give a sign.
            silent_s = 0.0 if process.gave_sign() else silent_s + POLL_S
            if failure is not None:
                worker.stopped = True
                # The run's folder may be gone, or the disk full; the group is ended all the same.
                with suppress(OSError, sqlite3.Error):
                    _stop(worker.run, worker.job_id, process.pid, "failed", failure)
            elif silent_s > bounds.HUNG_S:
                log.warning("the worker of %s in %s hangs and is ended", worker.tool, worker.run.run_id)
                end_group(process.pid)
            time.sleep(POLL_S)
        process.end()
        if process.process.returncode == EXIT_UNRECORDED:
            failure = Failure("error", disk_full_message(worker.run.run_id))
            self._unrecorded[worker.run.run_id, worker.job_id] = failure
        self._resume(worker)

    def _resume(self, worker: _Worker) -> None:
        """Start the work of a worker that died without a word once more."""
        if worker.resumed or worker.stopped or _ended_well(worker.process) or self._ending.is_set():
            return
        try:
            state = settled_state(worker.run, worker.job_id, GRACE_S)
            if state is None or state.status != "interrupted":
                return
            lock = lock_of_dead(worker.run, worker.job_id, GRACE_S)
            if lock is None:
                return
            log.warning("the worker of %s in %s died; its work is resumed", worker.tool, worker.run.run_id)
            before = worker.run.journal.last(STARTED)
            self._begin(Turn(worker.run, worker.job_id, worker.tool, worker.arguments, lock), worker)
            self._obey(worker.run, worker.job_id, before.seq if before else 0)
        except (OSError, sqlite3.Error):
            # The folder is gone, or the disk full: what the client is told then says so.
            log.warning("%s could not be resumed", worker.run.run_id, exc_info=True)

    def _obey(self, run: RunFolder, job_id: str, since: int) -> None:
        """End a worker whose job somebody stopped while it was being started."""
        stopped = was_stopped(run, job_id, since)
        worker = self._workers.get((run.run_id, job_id))
        if stopped is not None:
            run.journal.append(STOPPED, stopped.body)
            # It may have ended by itself.
            end_group(worker.process.pid if worker is not None else 0)


def _ended_well(worker: WorkerProcess) -> bool:
    """Whether a worker left by itself: then its outcome is on record, or could not be recorded."""
    return worker.process.returncode in (0, EXIT_UNRECORDED)


def _can_join(state: JobState) -> bool:
    """A job in flight, or one that ended with an outcome nobody was told."""
    return state.status == "running" or (state.status in {"finished", "failed"} and not state.delivered)


def _stop(run: RunFolder, job_id: str, group: int, status: JobStatus, failure: Failure) -> None:
    """Record why a job is ended, then end it; in this order, so that no reader takes it for an accident."""
    error = {"kind": failure.kind, "message": failure.message}
    try:
        run.journal.append(STOPPED, {"job_id": job_id, "status": status, "error": error})
    finally:
        end_group(group)
