"""The line before the workers: so many jobs at once, the others in the order they came, each with its place on record in its run.

A job in line holds its run's lock, in the server that will start it: no other server can take the run, and when the server dies the
lock is free and the run reads as interrupted. Each server has its own line.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..engine.errors import Busy
from ..engine.run import RunFolder
from .job_state import IN_LINE, PROGRESS, QUEUED, was_stopped

LONGEST = 32
"""Jobs that may wait; whoever asks for more is refused instead of waiting for hours."""
LOOK_S = 0.25
"""How often the journals of the runs in line are asked whether another server has cancelled their job."""

log = logging.getLogger(__name__)


@dataclass
class Turn:
    """A job before it begins. `lock` is the descriptor of the run's lock; whoever takes the turn closes it."""

    run: RunFolder
    job_id: str
    tool: str
    arguments: dict[str, Any]
    lock: int
    queued_at: int = 0
    """Where in the journal it was queued; 0: it never waited."""


class Line:
    """Who may begin now and who waits. Safe for threads.

    Parameters
    ----------
    at_once : int
        Jobs at work at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._at_work = 0
        self._waiting: list[Turn] = []
        self._lock = threading.Lock()
        self._looking = False

    @property
    def idle(self) -> bool:
        """True while nothing is at work."""
        return self._at_work <= 0

    def enter(self, turn: Turn) -> bool:
        """Return True where the job may begin now; else it waits, which is recorded. Raises `Busy` when too many do."""
        with self._lock:
            if self._at_work < self._at_once:
                self._at_work += 1
                return True
            if len(self._waiting) >= LONGEST:
                raise Busy(
                    f"{self._at_work} jobs are at work and {len(self._waiting)} wait for their turn, the most that may; call again "
                    "when list_runs shows that some have ended, or stop one with cancel_run(run_id)"
                )
            body = {"job_id": turn.job_id, "tool": turn.tool, "arguments": turn.arguments}
            turn.queued_at = turn.run.journal.append(QUEUED, body).seq
            self._waiting.append(turn)
            self._tell(turn, len(self._waiting))
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, daemon=True, name="line").start()
            return False

    def leave(self) -> Turn | None:
        """Give the place of a job that has ended to the first in line and return its turn; None where nobody waits."""
        with self._lock:
            self._drop_stopped()
            if not self._waiting:
                self._at_work -= 1
                return None
            first = self._waiting.pop(0)
            self._tell_all()
            return first

    def remove(self, run: RunFolder, job_id: str) -> bool:
        """Take a job out of the line and free its run; False where it is not, or no longer, in it."""
        with self._lock:
            turn = next((turn for turn in self._waiting if (turn.run, turn.job_id) == (run, job_id)), None)
            if turn is None:
                return False
            self._drop(turn)
            self._tell_all()
            return True

    def close(self) -> None:
        """Send everybody away; their runs read as interrupted."""
        with self._lock:
            for turn in list(self._waiting):
                self._drop(turn)

    def _look(self) -> None:
        """While somebody waits, drop the jobs that another server has stopped."""
        while True:
            time.sleep(LOOK_S)
            with self._lock:
                if self._drop_stopped():
                    self._tell_all()
                if not self._waiting:
                    self._looking = False
                    return

    def _drop_stopped(self) -> bool:
        stopped = []
        for turn in self._waiting:
            try:
                stop = was_stopped(turn.run, turn.job_id, turn.queued_at)
                # Its folder was removed, and perhaps made again under the same name.
                gone = stop is not None or os.fstat(turn.lock).st_nlink == 0
            except (OSError, sqlite3.Error):
                # A full disk, or a run that is just being removed; the next look knows more.
                gone = False
            if gone:
                stopped.append(turn)
        for turn in stopped:
            self._drop(turn)
        return bool(stopped)

    def _drop(self, turn: Turn) -> None:
        self._waiting.remove(turn)
        os.close(turn.lock)

    def _tell_all(self) -> None:
        for place, turn in enumerate(self._waiting, 1):
            self._tell(turn, place)

    def _tell(self, turn: Turn, place: int) -> None:
        message = f"{ordinal(place)} in line behind {self._at_work} at work"
        event = {"job_id": turn.job_id, "phase": IN_LINE, "message": message, "done": 0, "total": 0}
        # The place is for people to read; nothing depends on it.
        with suppress(OSError, sqlite3.Error):
            turn.run.journal.append(PROGRESS, event)


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, `11th`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"
