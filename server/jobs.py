"""Jobs: long work on a run, each in a process group of its own that can be waited for, cancelled and killed. POSIX only.

What a job is and how it stands is on disk (`job_state.py`), so another or a restarted server can read it, wait for it and cancel
it. This module starts workers and looks after those it started: it ends one that overruns its budget or its memory, and when one
dies it starts the work again, once; it goes on from the run's journal. After that the same call, made again, resumes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ..engine.errors import Busy, Failure
from ..engine.run import RunFolder
from .errors import disk_full_message
from .job_state import DELIVERED, EXIT_UNRECORDED, STARTED, STOPPED, JobState, JobStatus, read_state
from .memory import group_memory_mb
from .ownership import take_lock
from .settings import Settings

_PACKAGE = __name__.rpartition(".")[0]
PERFORM = f"{_PACKAGE.rpartition('.')[0]}.tools.workflow:perform"
"""What a worker calls: `perform(name, arguments, run, home, threads, report_progress) -> Report`."""

POLL_S = 0.1
"""How often a waiting call looks at the journal, and how soon the death of a worker is noticed."""
MEMORY_POLL_S = 0.5
LEAST_S = 5.0
"""What a replacement gets at least, to end with something."""
GRACE_S = 1.0
"""Between asking a process group to end and killing it."""
OVERRUN_SHARE, OVERRUN_S = 0.15, 10.0
"""A job past its budget by this share and these seconds is stuck, and is killed."""
log = logging.getLogger(__name__)

OnProgress = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class _Worker:
    """A worker this process started."""

    run: RunFolder
    job_id: str
    tool: str
    process: subprocess.Popen[bytes]
    stop_at: float
    budget_s: float
    started: float
    arguments: dict[str, Any]
    resumed: bool
    stopped: bool = False


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
        self._workers: dict[tuple[str, str], _Worker] = {}
        self._unrecorded: dict[tuple[str, str], Failure] = {}
        self._ending = threading.Event()

    async def submit(self, run: RunFolder, name: str, arguments: dict[str, Any]) -> str:
        """Start a job on a run and return its id, or join the one that does the same.

        A job that ended since the last call asked for the same, and whose outcome nobody was told yet, is joined too. Raises
        `Busy` when the run or this server has other work.
        """
        arguments = {**arguments, "time_budget_s": arguments.get("time_budget_s") or self._budget_s(run)}
        patience = time.monotonic() + 2 * GRACE_S
        while True:
            state = self.state(run)
            if state is not None and state.is_for(name, arguments) and _can_join(state):
                return state.job_id
            if state is not None and state.status == "running":
                raise Busy(
                    f"{state.tool} is still working on {run.run_id} ({time.time() - state.started_at:.0f} s so far); wait with "
                    f"get_run(run_id={run.run_id!r}, wait_s=45) or stop it with cancel_run(run_id={run.run_id!r})"
                )
            if len(self._workers) >= self._settings.max_jobs:
                busy = ", ".join(sorted(worker.run.run_id for worker in self._workers.values()))
                raise Busy(
                    f"{len(self._workers)} jobs are running ({busy}), the most at once; wait with get_run, then call again"
                )
            lock = take_lock(run)
            if lock is not None:
                return await anyio.to_thread.run_sync(partial(self._start, run, name, arguments, lock))
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
        if state is not None and state.status == "interrupted":
            key = run.run_id, state.job_id
            if (failure := self._unrecorded.get(key)) is not None:
                return replace(state, status="failed", error=failure)
            if key in self._workers and not self._ending.is_set():
                # Its worker has died a moment ago and is being replaced, or is about to be given up.
                return replace(state, status="running", error=None)
        return state

    async def cancel(self, run: RunFolder) -> JobState | None:
        """End the run's job, whichever server started it, within two seconds; what it had finished is kept.

        Returns the state it ended in, which is `finished` when it was faster.
        """
        state = self.state(run)
        if state is None or state.status != "running":
            return state
        failure = Failure("error", f"{state.tool} was cancelled; everything it had finished is kept")
        stop = partial(_stop, run, state.job_id, state.pid, "cancelled", failure)
        await anyio.to_thread.run_sync(stop)
        return await self.wait(run, state.job_id, GRACE_S)

    def mark_delivered(self, run: RunFolder, state: JobState) -> None:
        """Remember that a client was told how a job ended: the same call now means new work."""
        if state.status != "running" and not state.delivered:
            run.journal.append(DELIVERED, {"job_id": state.job_id})

    def shutdown(self) -> None:
        """End all workers this object started; their runs read as interrupted and resume when asked."""
        self._ending.set()
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

    def _start(
        self, run: RunFolder, name: str, arguments: dict[str, Any], lock: int, replaces: _Worker | None = None
    ) -> str:
        """Spawn a worker that inherits the lock, record it, and only then let it begin.

        One that replaces another goes on with its job, in what is left of its time.
        """
        job_id = replaces.job_id if replaces else f"job_{sum(1 for _ in run.journal.read(STARTED)) + 1:03d}"
        budget_s = float(arguments["time_budget_s"])
        if replaces:
            budget_s = max(LEAST_S, replaces.budget_s - (time.monotonic() - replaces.started))
        order = {
            "tool": name,
            "arguments": {**arguments, "time_budget_s": budget_s},
            "home": str(self._settings.home),
            "threads": self._settings.threads,
            "perform": self._perform,
            "lock": lock,
        }
        try:
            with run.log_path.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; the client's text goes by pipe
                    [sys.executable, "-m", f"{_PACKAGE}.worker", str(run.path), job_id],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                    cwd=run.path,
                    env=_environment(self._settings.threads),
                )
        finally:
            os.close(lock)
        assert process.stdin is not None
        started = {"job_id": job_id, "tool": name, "arguments": arguments, "pid": process.pid, "budget_s": budget_s}
        try:
            run.journal.append(STARTED, started)
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except BaseException:
            end_group(process.pid)
            process.wait()
            process.stdin.close()
            raise
        stop_at = time.monotonic() + budget_s * (1 + OVERRUN_SHARE) + OVERRUN_S
        worker = _Worker(
            run, job_id, name, process, stop_at, budget_s, time.monotonic(), arguments, replaces is not None
        )
        self._workers[run.run_id, job_id] = worker
        threading.Thread(target=self._look_after, args=(worker,), daemon=True, name=f"{run.run_id}-{job_id}").start()
        return job_id

    def _look_after(self, worker: _Worker) -> None:
        """Watch one worker until it is gone and, where it died, replace it; whatever happens, it is not counted after that."""
        try:
            self._see_to_its_end(worker)
        except Exception:  # the boundary of a thread: nobody else would hear of it
            log.exception("looking after the worker of %s in %s failed", worker.tool, worker.run.run_id)
        finally:
            key = worker.run.run_id, worker.job_id
            if self._workers.get(key) is worker:
                del self._workers[key]

    def _see_to_its_end(self, worker: _Worker) -> None:
        """Watch one worker until it is gone, take its group and its pipe away, and replace it where it died without a word."""
        process = worker.process
        look_at_memory = 0.0
        while process.poll() is None:
            now = time.monotonic()
            failure = self._overrun(worker) if now > worker.stop_at else None
            if failure is None and now > look_at_memory:
                look_at_memory = now + MEMORY_POLL_S
                failure = self._outgrown(worker)
            if failure is not None:
                worker.stopped = True
                # The run's folder may be gone, or the disk full; the group is ended all the same.
                with suppress(OSError, sqlite3.Error):
                    _stop(worker.run, worker.job_id, process.pid, "failed", failure)
                process.wait()
            time.sleep(POLL_S)
        end_group(process.pid)
        if process.returncode == EXIT_UNRECORDED:
            failure = Failure("error", disk_full_message(worker.run.run_id))
            self._unrecorded[worker.run.run_id, worker.job_id] = failure
        assert process.stdin is not None
        process.stdin.close()
        self._resume(worker)

    def _resume(self, worker: _Worker) -> None:
        """Start the work of a worker that died without a word once more."""
        if worker.resumed or worker.stopped or _ended_well(worker.process) or self._ending.is_set():
            return
        try:
            state = _settled(worker.run, worker.job_id)
            if state is None or state.status != "interrupted":
                return
            lock = take_lock(worker.run)
            if lock is None:
                return
            log.warning("the worker of %s in %s died; its work is resumed", worker.tool, worker.run.run_id)
            before = worker.run.journal.last(STARTED)
            self._start(worker.run, worker.tool, worker.arguments, lock, worker)
            self._obey(worker, before.seq if before else 0)
        except (OSError, sqlite3.Error):
            # The folder is gone, or the disk full: what the client is told then says so.
            log.warning("%s could not be resumed", worker.run.run_id, exc_info=True)
        if self._ending.is_set():
            self._end_replacement(worker)

    def _obey(self, worker: _Worker, since: int) -> None:
        """End a replacement whose job somebody stopped while it was being started."""
        for entry in list(worker.run.journal.read(STOPPED, after=since)):
            if entry.body["job_id"] == worker.job_id:
                worker.run.journal.append(STOPPED, entry.body)
                self._end_replacement(worker)

    def _end_replacement(self, worker: _Worker) -> None:
        """End the worker that took another one's place; it may have ended by itself."""
        replacement = self._workers.get((worker.run.run_id, worker.job_id))
        if replacement is not None and replacement is not worker:
            end_group(replacement.process.pid)

    def _overrun(self, worker: _Worker) -> Failure:
        return Failure(
            "timeout",
            f"{worker.tool} did not stop at its budget of {worker.budget_s:.0f} s and was ended; what it had finished is kept. "
            "Call it again with a larger time_budget_s",
        )

    def _outgrown(self, worker: _Worker) -> Failure | None:
        used, limit = group_memory_mb(worker.process.pid), self._settings.memory_mb
        if used <= limit:
            return None
        return Failure(
            "memory",
            f"{worker.tool} filled {used:,.0f} MB, more than the {limit:,} MB one job may use, and was ended; what it had finished "
            "is kept. Use fewer rows or columns, or raise MLE_STAR_MEMORY_MB",
        )


def _ended_well(process: subprocess.Popen[bytes]) -> bool:
    """Whether a worker left by itself: then its outcome is on record, or could not be recorded."""
    return process.returncode in (0, EXIT_UNRECORDED)


def _settled(run: RunFolder, job_id: str) -> JobState | None:
    """The state of a job whose worker is gone: its last threads may hold the lock for a moment longer."""
    until = time.monotonic() + GRACE_S
    while (state := read_state(run, job_id)) is not None and state.status == "running" and time.monotonic() < until:
        time.sleep(0.02)
    return state


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


def end_group(group: int) -> None:
    """End a process group: ask, wait a moment, kill. Returns at once when it is gone."""
    if not _signal_group(group, signal.SIGTERM):
        return
    until = time.monotonic() + GRACE_S
    while time.monotonic() < until:
        if not _signal_group(group, 0):
            return
        time.sleep(0.02)
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _environment(threads: int) -> dict[str, str]:
    """The worker's environment: native libraries keep to the job's threads, and figures need no screen."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    environment["MPLBACKEND"] = "Agg"
    if search_path := environment.get("PYTHONPATH"):
        # The worker starts in the run's folder, where a relative entry would mean something else.
        entries = (str(Path(entry).absolute()) for entry in search_path.split(os.pathsep) if entry)
        environment["PYTHONPATH"] = os.pathsep.join(entries)
    return environment
