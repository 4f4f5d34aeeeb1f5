"""Worker processes: started as leaders of a group of their own, given an order with the run's lock, and ended with their children.

The standard input of a worker is one end of a socket pair. The order goes through it with two descriptors: the run's lock, which
the worker owns from then on, and the run's log. Afterwards the worker sends a sign of life now and then; when the server's end
closes, the worker ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import Settings

_PACKAGE = __name__.rpartition(".")[0]

GRACE_S = 1.0
"""Between asking a process group to end and killing it."""
_TAKEN_WITHIN_S = 10.0
"""An order that is not taken in this time goes to a process that hangs."""
_SPIN_COUNT = "3000000"
"""Turns for which an OpenMP thread of GCC's library waits actively, ten times its default. Boosting meets some ten barriers a
tree, and a thread that went to sleep because another one was preempted is late at the next. LightGBM, 200 trees on 20,000 rows of
40 columns, two threads beside one busy process: 17.5 s, with this 1.3 s (0.4 s on free cores either way)."""
_OWN_PAGES_BYTES = 4 << 20
"""From this size on an array has pages of its own, which go back to the system when it is freed; of smaller ones, what is free at
the end of the heap goes back from this size on. A minute on 10,000 rows of 30 columns: 705 MB at the peak as glibc decides, 539."""


@dataclass(frozen=True)
class WorkerProcess:
    """A process this one started, and the server's end of its channel."""

    process: subprocess.Popen[bytes]
    channel: socket.socket

    @property
    def pid(self) -> int:
        """The process, and its group."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """False once it has ended."""
        return self.process.poll() is None

    def order(self, order: dict[str, Any], lock: int, log: int) -> None:
        """Send the order with the descriptors; the caller closes its own copies. Raises `OSError` where it is not taken."""
        body = json.dumps(order).encode() + b"\n"
        self.channel.settimeout(_TAKEN_WITHIN_S)
        try:
            sent = socket.send_fds(self.channel, [body], [lock, log])
            self.channel.sendall(body[sent:])
        finally:
            # Whoever looks for signs of life never waits, also where the order was not taken.
            self.channel.setblocking(False)

    def gave_sign(self) -> bool:
        """Whether it has sent a sign of life since the last look; never waits, once it has its order."""
        try:
            return bool(self.channel.recv(4096))
        except OSError:
            return False

    def end(self) -> None:
        """End the group, wait for the process, close the channel."""
        end_group(self.pid)
        self.process.wait()
        self.channel.close()


def start_worker(settings: Settings, load: str = "") -> WorkerProcess:
    """Start a worker that waits for its order. One that shall `load` (`module:function`) imports what the work needs meanwhile."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; the client's text goes by the channel
                # -P: a file in the working directory never stands in for a library.
                [sys.executable, "-P", "-m", f"{_PACKAGE}.worker", *([load] if load else [])],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=settings.home,
                env=_environment(settings.threads),
            )
        except BaseException:
            ours.close()
            raise
    return WorkerProcess(process, ours)


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
    if group <= 0:
        # Zero is the group of the caller.
        return False
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def wait_actively(environment: MutableMapping[str, str]) -> None:
    """Make the native threads of a process wait actively, unless its user says how they are to wait; before it loads a library."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


def _environment(threads: int) -> dict[str, str]:
    """The worker's environment: native libraries keep to the job's threads, and figures need no screen."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    # Threads come and go with every evaluation; with glibc's eight arenas per core, each keeps what its threads freed.
    environment.setdefault("MALLOC_ARENA_MAX", str(max(2, threads)))
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        # Left alone, glibc raises these to 32 and 64 MB, and what evaluations freed stays between what later ones hold.
        environment.setdefault(name, str(_OWN_PAGES_BYTES))
    wait_actively(environment)
    environment["MPLBACKEND"] = "Agg"
    if search_path := environment.get("PYTHONPATH"):
        # The worker starts in another folder, where a relative entry would mean something else.
        entries = (str(Path(entry).absolute()) for entry in search_path.split(os.pathsep) if entry)
        environment["PYTHONPATH"] = os.pathsep.join(entries)
    return environment
