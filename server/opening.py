"""Opening a run: which file it may be, which run already answers the question, and nothing left behind when it fails."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.run import RunFolder, create_run, list_runs
from ..tools.profile_dataset import ProfileRequest
from .job_state import JobState
from .jobs import Jobs
from .paths import resolve_data_path
from .settings import Settings

log = logging.getLogger(__name__)

PROFILE = "profile_dataset"
OPENED = "opened"
"""Journal entry of the request that opened a run, with the file as it was."""
_NOT_THE_QUESTION = {"run_id", "wait_s", "detail"}


def open_for(request: ProfileRequest, settings: Settings, jobs: Jobs) -> tuple[RunFolder, bool]:
    """Return the run for a request and whether its profile is finished: an earlier run with the same question on the same
    unchanged file, else a new folder. Call it alone (`alone_in_opening`), until the run has its job.

    The server looks at the file's name, size and time only; its content is read by the worker. Raises `Refused` or `InvalidInput`
    for a path that cannot be used.
    """
    found = answered_by(request, settings, jobs)
    if found is not None:
        return found
    path, opened = _asked(request, settings)
    run = create_run(settings.home, request.name or path.stem.partition(".")[0])
    try:
        run.journal.append(OPENED, opened)
    except BaseException:
        run.remove()
        raise
    return run, False


def _asked(request: ProfileRequest, settings: Settings) -> tuple[Path, dict[str, Any]]:
    """The file, and what the journal of a run that was opened for such a request says of it."""
    path = resolve_data_path(request.path, settings)
    status = path.stat()
    question = {**request.model_dump(mode="json", exclude=_NOT_THE_QUESTION), "path": str(path)}
    return path, {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "request": question}


def answered_by(request: ProfileRequest, settings: Settings, jobs: Jobs) -> tuple[RunFolder, bool] | None:
    """The earlier run of the same question, as `open_for` returns it; None where the request needs a new one."""
    _, opened = _asked(request, settings)
    for run in list_runs(settings.home):
        try:
            entry = run.journal.last(OPENED)
            if entry is not None and entry.body == opened:
                if profile_report(run) is not None:
                    return run, True
                state = jobs.state(run)
                if state is not None and state.status in {"running", "interrupted"}:
                    return run, False
        except (OSError, sqlite3.Error):
            # One damaged run answers nothing, and keeps nothing from the others.
            log.debug("%s cannot be read", run.run_id, exc_info=True)
    return None


def profile_arguments(request: ProfileRequest, settings: Settings) -> dict[str, Any]:
    """Arguments for the worker: the path resolved, the rest as asked."""
    path = resolve_data_path(request.path, settings)
    return {**request.model_dump(mode="json"), "path": str(path)}


def profile_report(run: RunFolder) -> dict[str, Any] | None:
    """Return the recorded report of a finished profile."""
    reports = [entry.body for entry in run.journal.read("report") if entry.body["tool"] == PROFILE]
    return dict(reports[-1]["report"]) if reports else None


def discard_if_never_opened(run: RunFolder, state: JobState) -> bool:
    """Remove a run whose profile failed or was cancelled; its log is kept in the home folder's `logs` for an unexpected error."""
    if state.tool != PROFILE or state.status not in {"failed", "cancelled"} or profile_report(run) is not None:
        return False
    if state.error is not None and state.error.kind == "error" and state.status == "failed":
        with suppress(OSError):
            shutil.copyfile(run.log_path, _kept_log(run))
    run.remove()
    return True


def _kept_log(run: RunFolder) -> Path:
    folder = run.path.parent.parent / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{run.run_id}.log"
