"""A worker in waiting: started when nothing is at work, with the libraries loaded, so that the next job begins at once.

It is used for one job, as any worker, and another takes its place when the server is idle again: it never takes processor time or
memory from a job. What it holds counts in the memory of the job it becomes; one that holds more than a job may is given up.
"""

from __future__ import annotations

import logging
import threading

from .memory import group_memory_mb
from .processes import WorkerProcess, start_worker
from .settings import Settings

QUIET_S = 1.0
"""How long nothing is at work before one is started: a client that has just come, or a next step, goes first."""
_TRIES = 3
"""So many may end unused, on a machine where something is broken, before no more are started."""

log = logging.getLogger(__name__)


class Spare:
    """At most one process in waiting. Safe for threads.

    Parameters
    ----------
    perform : str
        `module:function` the worker will call; the module is imported and its `load_libraries` called, if there is one.
    """

    def __init__(self, settings: Settings, perform: str) -> None:
        self._settings = settings
        self._perform = perform
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()
        self._tries = _TRIES if settings.warm else 0

    @property
    def pid(self) -> int | None:
        """The process in waiting."""
        worker = self._worker
        return worker.pid if worker is not None else None

    @property
    def wanted(self) -> bool:
        """False where it is switched off or given up."""
        return self._tries > 0

    def keep(self) -> None:
        """Make sure that one waits, unless it is switched off or does not work here."""
        with self._lock:
            worker = self._worker
            if worker is not None and not worker.alive:
                self._give_up(worker, "ended before it was used")
            elif worker is not None and group_memory_mb(worker.pid) > self._settings.memory_mb:
                self._tries = 1
                self._give_up(worker, "holds more memory than a job may")
            if self._worker is None and self._tries > 0:
                try:
                    self._worker = start_worker(self._settings, self._perform)
                except OSError:
                    self._tries -= 1
                    log.warning("no worker in waiting can be started", exc_info=True)

    def take(self) -> WorkerProcess | None:
        """Hand it over, if one waits and lives."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is None or worker.alive:
            return worker
        worker.end()
        return None

    def close(self) -> None:
        """End it; no other one comes."""
        self._tries = 0
        if (worker := self.take()) is not None:
            worker.end()

    def _give_up(self, worker: WorkerProcess, why: str) -> None:
        self._tries -= 1
        self._worker = None
        worker.end()
        log.warning("the worker in waiting %s", why)
