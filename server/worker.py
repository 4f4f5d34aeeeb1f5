"""The process of one job: takes its order from the server, does the work, records how it ended, and leaves nothing behind.

Started by `processes.start_worker` only, as leader of its own process group: `python -m …server.worker [MODULE:FUNCTION]`. Its
standard input is the channel to the server: one JSON line with the order, the run's lock and its log, then silence; when it closes,
or the parent changes, the server is gone and the whole group ends. With an argument it waits for its order with everything loaded
that the work needs; without one nothing is imported before the order has come.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.run import RunFolder
from .errors import failure_of
from .job_state import EXIT_UNRECORDED, FINISHED, PROGRESS, recorded_report

PROGRESS_INTERVAL_S = 0.5
"""At most so often is progress recorded; the newest event is never lost, only late."""

log = logging.getLogger(__name__)


class ProgressRecord:
    """Writes progress events to the journal. Called from the work's threads and from the watch."""

    def __init__(self, run: RunFolder, job_id: str) -> None:
        self._run = run
        self._job_id = job_id
        self._lock = threading.Lock()
        self._pending: dict[str, Any] | None = None
        self._written_at = 0.0
        self._best: float | None = None

    def report(self, event: dict[str, Any]) -> None:
        """Take an event; it is on disk now or within the interval. The best score so far stays until a newer one is told."""
        with self._lock:
            if event.get("best_score") is not None:
                self._best = event["best_score"]
            self._pending = {**event, "best_score": self._best}
        self.flush()

    def flush(self) -> None:
        """Write what is pending, unless an event was written just now."""
        with self._lock:
            now = time.monotonic()
            if self._pending is None or now - self._written_at < PROGRESS_INTERVAL_S:
                return
            self._run.journal.append(PROGRESS, {"job_id": self._job_id, **self._pending})
            self._pending = None
            self._written_at = now


def main() -> None:
    """Do one job."""
    parent = os.getppid()
    _be_first_to_go()
    server = _take_channel()
    bond = Bond(server, parent)
    threading.Thread(target=bond.watch, daemon=True).start()
    if len(sys.argv) > 1:
        _load(sys.argv[1])
    order = _take_order(server)
    run, job_id = RunFolder(Path(order["run"])), order["job_id"]
    os.chdir(run.path)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    log.info("%s %s begins", job_id, order["tool"])
    progress = ProgressRecord(run, job_id)
    bond.begin(progress)
    done = recorded_report(run, job_id)
    outcome = {"status": "finished", "report": done} if done is not None else _work(run, order, progress)
    log.info("%s %s", job_id, outcome["status"])
    try:
        run.journal.append(FINISHED, {"job_id": job_id, **outcome})
    except (OSError, sqlite3.Error):
        log.exception("the end of %s cannot be recorded", job_id)
        _leave(EXIT_UNRECORDED)
    _leave(0)


class Bond:
    """What ties the worker to its server: it ends the group when the server is gone, and gives signs of life while at work."""

    def __init__(self, server: socket.socket, parent: int) -> None:
        self._server = server
        self._parent = parent
        self._progress: ProgressRecord | None = None
        self._at_work = threading.Event()

    def begin(self, progress: ProgressRecord) -> None:
        """From now on the channel says nothing any more, until it closes."""
        self._progress = progress
        self._at_work.set()

    def watch(self) -> None:
        """End the group when the server is gone; until then give signs of life, and write progress that came too fast."""
        while not self._at_work.wait(PROGRESS_INTERVAL_S):
            # The main thread reads the channel, but not while it loads.
            if os.getppid() != self._parent:
                os.killpg(os.getpgrp(), signal.SIGKILL)
        while True:
            readable, _, _ = select.select([self._server], [], [], PROGRESS_INTERVAL_S)
            if (readable and self._closed()) or os.getppid() != self._parent:
                log.info("the server is gone")
                # The first signal lets joblib's tracker clear temporary files; the second is for code that ignores the first.
                os.killpg(os.getpgrp(), signal.SIGTERM)
                time.sleep(PROGRESS_INTERVAL_S)
                os.killpg(os.getpgrp(), signal.SIGKILL)
            # A full channel belongs to a server that was stopped; a closed one shows in the next round.
            with suppress(OSError):
                self._server.send(b".", socket.MSG_DONTWAIT)
            # A full disk shows in the work itself, which reports it.
            with suppress(OSError, sqlite3.Error):
                if self._progress is not None:
                    self._progress.flush()

    def _closed(self) -> bool:
        try:
            return not self._server.recv(1)
        except ConnectionError:
            # The server has left signs of life unread.
            return True


def _take_channel() -> socket.socket:
    """Return standard input as the socket that it is; from here on standard input is empty."""
    server = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return server


def _load(perform: str) -> None:
    """Import what the work needs."""
    # Whatever is broken here shows again in the job, with a log to be read.
    with suppress(Exception):
        module = importlib.import_module(perform.partition(":")[0])
        if (load_libraries := getattr(module, "load_libraries", None)) is not None:
            load_libraries()


def _take_order(server: socket.socket) -> dict[str, Any]:
    """Read the order; from here on this process owns the run's lock, and what it prints goes to the run's log."""
    line, received = b"", []
    while not line.endswith(b"\n"):
        part, descriptors, _, _ = socket.recv_fds(server, 65_536, 2)
        received += descriptors
        if not part:
            sys.exit("the server left before it gave an order")
        line += part
    # The lock's descriptor stays open for the life of this process and is not passed on to any other.
    lock, run_log = received
    os.set_inheritable(lock, False)
    for stream in (1, 2):
        os.dup2(run_log, stream)
    os.close(run_log)
    order: dict[str, Any] = json.loads(line)
    return order


def _work(run: RunFolder, order: dict[str, Any], progress: ProgressRecord) -> dict[str, Any]:
    """Return the body of the entry that ends the job."""
    module, _, function = order["perform"].partition(":")
    try:
        perform = getattr(importlib.import_module(module), function)
        report = perform(
            order["tool"], order["arguments"], run, Path(order["home"]), order["threads"], progress.report, order["memory_mb"]
        )  # fmt: skip
    except Exception as error:  # the boundary of the process: whatever it was, it is recorded and told
        failure = failure_of(error, order["tool"], run.run_id)
        log.info("%s failed", order["tool"], exc_info=error)
        return {"status": "failed", "error": {"kind": failure.kind, "message": failure.message}}
    return {"status": "finished", "report": report.model_dump(mode="json")}


def _be_first_to_go() -> None:
    """Where memory runs out, the kernel shall take this process and not the server or the user's others (Linux)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


def _leave(code: int) -> None:
    """End at once, with everything this process started: libraries' pools would keep the run's lock for seconds."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    os._exit(code)


if __name__ == "__main__":
    main()
