"""Who owns a run: a file lock that is handed to the worker and dies with it. POSIX only.

The lock belongs to the open file, not to the process, so the server takes it, keeps it while the job waits for its turn, sends its
descriptor to the worker and closes its own copy: from the first moment there is exactly one owner, also between two servers on the
same home folder, and also while the descriptor is on its way.
"""

from __future__ import annotations

import fcntl
import os
import time

from ..engine.run import RunFolder


def take_lock(run: RunFolder) -> int | None:
    """Return the descriptor of the lock, or None while somebody else holds it. The caller closes it."""
    descriptor = os.open(run.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def lock_of_dead(run: RunFolder, within_s: float) -> int | None:
    """Take the lock that a dead worker has left; a reader that looks who owns the run holds it for an instant."""
    until = time.monotonic() + within_s
    while (lock := take_lock(run)) is None and time.monotonic() < until:
        time.sleep(0.02)
    return lock


def is_owned(run: RunFolder) -> bool:
    """True while a worker lives on the run."""
    try:
        descriptor = os.open(run.lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that two readers never take each other for an owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
