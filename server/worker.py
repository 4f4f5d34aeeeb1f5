"""The process of one job: takes its order from the server, does the work, records how it ended, and leaves nothing behind.

Started by `Jobs` only, as leader of its own process group: `python -m …server.worker RUN_FOLDER JOB_ID`. Its standard input is the
server's end of the bargain: one JSON line with the order, then silence; when it closes, or the parent changes, the server is gone
and the whole group ends. Nothing is imported that is not needed before the order has come.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import signal
import sqlite3
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.run import RunFolder
from .errors import failure_of
from .job_state import EXIT_UNRECORDED, FINISHED, PROGRESS

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

    def report(self, event: dict[str, Any]) -> None:
        """Take an event; it is on disk now or within the interval."""
        with self._lock:
            self._pending = event
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
    run, job_id = RunFolder(Path(sys.argv[1])), sys.argv[2]
    parent = os.getppid()
    order, server = _take_order()
    os.set_inheritable(order["lock"], False)
    _be_first_to_go()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    log.info("%s %s begins", job_id, order["tool"])
    progress = ProgressRecord(run, job_id)
    threading.Thread(target=_watch, args=(server, parent, progress), daemon=True).start()
    outcome = _work(run, order, progress)
    log.info("%s %s", job_id, outcome["status"])
    try:
        run.journal.append(FINISHED, {"job_id": job_id, **outcome})
    except (OSError, sqlite3.Error):
        log.exception("the end of %s cannot be recorded", job_id)
        _leave(EXIT_UNRECORDED)
    _leave(0)


def _take_order() -> tuple[dict[str, Any], int]:
    """Read the order and return it with the descriptor that closes when the server is gone; standard input becomes empty."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65_536)
        if not part:
            sys.exit("the server left before it gave an order")
        line += part
    server = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return json.loads(line), server


def _work(run: RunFolder, order: dict[str, Any], progress: ProgressRecord) -> dict[str, Any]:
    """Return the body of the entry that ends the job."""
    module, _, function = order["perform"].partition(":")
    try:
        perform = getattr(importlib.import_module(module), function)
        report = perform(order["tool"], order["arguments"], run, Path(order["home"]), order["threads"], progress.report)
    except Exception as error:  # the boundary of the process: whatever it was, it is recorded and told
        failure = failure_of(error, order["tool"], run.run_id)
        log.info("%s failed", order["tool"], exc_info=error)
        return {"status": "failed", "error": {"kind": failure.kind, "message": failure.message}}
    return {"status": "finished", "report": report.model_dump(mode="json")}


def _watch(server: int, parent: int, progress: ProgressRecord) -> None:
    """End the group when the server is gone; until then write progress that came too fast."""
    while True:
        readable, _, _ = select.select([server], [], [], PROGRESS_INTERVAL_S)
        if (readable and not os.read(server, 1)) or os.getppid() != parent:
            log.info("the server is gone")
            # The first signal lets joblib's tracker clear temporary files; the second is for code that ignores the first.
            os.killpg(os.getpgrp(), signal.SIGTERM)
            time.sleep(PROGRESS_INTERVAL_S)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        # A full disk shows in the work itself, which reports it.
        with suppress(OSError, sqlite3.Error):
            progress.flush()


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
