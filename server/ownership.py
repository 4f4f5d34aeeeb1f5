"""Who owns a run: a file lock that is handed to the worker and dies with it. POSIX only.

The lock belongs to the open file, not to the process, so the server takes it, keeps it while the job waits for its turn, sends its
descriptor to the worker and closes its own copy: from the first moment there is exactly one owner, also between two servers on the
same home folder, and also while the descriptor is on its way. The file names the job that the lock was taken for, so that nobody
takes a job that is about to begin for the dead one before it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from ..engine.errors import Busy
from ..engine.run import RunFolder

_OPENING_WITHIN_S = 20.0
"""How long a call waits for another one that opens a run; that takes a fraction of a second."""
_LOOK_S = 0.02


def take_lock(run: RunFolder) -> int | None:
    """Return the descriptor of the lock, for no job yet, or None while somebody else holds it. The caller closes it."""
    descriptor = _locked(run.lock_path)
    if descriptor is not None:
        os.ftruncate(descriptor, 0)
    return descriptor


def take_for(lock: int, job_id: str) -> None:
    """Name the job that the lock was taken for."""
    os.pwrite(lock, job_id.encode("ascii"), 0)


@asynccontextmanager
async def alone_in_opening(home: Path) -> AsyncIterator[None]:
    """Between the look for a run that answers a question and the first word of a new one's job, nobody else on this home folder
    looks: of two that ask at once, the second one finds the run of the first. Raises `Busy` when it takes too long."""
    until = time.monotonic() + _OPENING_WITHIN_S
    while (descriptor := _locked(home / "opening.lock")) is None:
        if time.monotonic() > until:
            raise Busy("another process is opening a run in the same home folder; call again in a few seconds")
        await anyio.sleep(_LOOK_S)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_of_dead(run: RunFolder, job_id: str, within_s: float) -> int | None:
    """Take the lock that a dead worker has left, for the same job; a reader that looks who owns the run holds it for an instant."""
    until = time.monotonic() + within_s
    while (lock := take_lock(run)) is None and time.monotonic() < until:
        time.sleep(_LOOK_S)
    if lock is not None:
        try:
            take_for(lock, job_id)
        except OSError:
            os.close(lock)
            raise
    return lock


def owner_of(run: RunFolder) -> str | None:
    """The job that somebody lives for on the run: its id, empty where it has no name yet, None where nobody owns the run."""
    try:
        descriptor = os.open(run.lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # A shared lock, so that two readers never take each other for an owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 64, 0).decode("ascii")
    finally:
        os.close(descriptor)
    return None


def _locked(path: Path) -> int | None:
    """A descriptor with the lock on a file, which is made where there is none; None while somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
