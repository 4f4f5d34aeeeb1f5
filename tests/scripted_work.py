"""Work for real workers whose course a test decides: `perform` does what its arguments say. Imported by the worker process."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mle_star.engine.errors import InvalidInput
from mle_star.engine.run import RunFolder
from mle_star.server.job_state import EXIT_UNRECORDED
from mle_star.tools.contract import Report

SIGNALS = {"die": signal.SIGKILL, "report and die": signal.SIGKILL, "stop itself": signal.SIGSTOP}


def _write(course: str, run: RunFolder) -> None:
    """Write to the run's folder: until nothing more fits, or with pauses, or to the journal too."""
    with (run.path / "filler").open("ab", buffering=0) as file:
        # The last bytes too: what comes next then has no room at all.
        for size in (2**20, 2**12, 1) if course == "fill the disk" else (2**20,):
            try:
                while file.write(bytes(size if course != "keep writing" else 1)):
                    if course == "fill the disk slowly":
                        time.sleep(0.2)
                    if course == "keep writing":
                        run.journal.append("written", {"text": "x" * 10_000})
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    raise OSError(errno.ENOSPC, "No space left on device")


def _full(course: str) -> None:
    """A disk without room: for the work, or even for the worker's last words."""
    if course == "no room for a record":
        os._exit(EXIT_UNRECORDED)
    raise OSError(errno.ENOSPC, "No space left on device")


def perform(
    name: str,
    arguments: dict[str, Any],
    run: RunFolder,
    home: Path,
    threads: int,
    report_progress: Callable[[dict[str, Any]], None],
    memory_mb: int | None = None,
) -> Report:
    course = arguments.get("course") or os.environ.get("SCRIPTED_COURSE", "finish")
    run.journal.append("evaluation", {"number": sum(1 for _ in run.journal.read("evaluation"))})
    report_progress({"phase": name, "message": "begun", "done": 0, "total": 2})
    if course == "hang":
        time.sleep(600)
    elif course == "hang with a child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        run.journal.append("child", {"pid": child.pid})
        time.sleep(600)
    elif course == "ignore the request to end":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        run.journal.append("child", {"pid": os.getpid()})
        time.sleep(600)
    elif course == "eat memory":
        hoard = [bytearray(16 * 2**20) for _ in range(30)]
        time.sleep(600)
        logging.info("%d", len(hoard))
    elif course == "refuse":
        raise InvalidInput("expected a table, got a teapot")
    elif course == "crash":
        raise KeyError(f"secret {Path(__file__)}")
    elif course in {"disk full", "no room for a record"}:
        _full(course)
    elif course in SIGNALS or (course == "die once" and sum(1 for _ in run.journal.read("evaluation")) == 1):
        if course == "report and die":
            run.journal.append("report", {"tool": name, "report": {"summary": "reported"}})
        os.kill(os.getpid(), SIGNALS.get(course, signal.SIGKILL))
    elif course == "a while":
        time.sleep(0.8)
        report_progress({"phase": name, "message": "half", "done": 1, "total": 2})
        time.sleep(0.8)
    elif course == "one score":
        report_progress({"phase": name, "message": "scored", "done": 1, "total": 3, "best_score": 0.75})
        report_progress({"phase": name, "message": "thinking", "done": 2, "total": 3, "best_score": None})
        time.sleep(600)
    elif course in {"fill the disk", "fill the disk slowly", "keep writing"}:
        _write(course, run)
    return Report(run_id=run.run_id, summary=f"{name} on {threads} threads, {home.name}", next="stop")
