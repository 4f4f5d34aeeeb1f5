"""The run folder: where one run keeps its journal, its data snapshot, its model and its reports.

Light on import; used by the server process and the worker alike.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import InvalidInput, NotFound
from .journal import Journal

_RUN_ID = re.compile(r"run_[a-z0-9_]{1,40}_\d{4,}")


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    @property
    def run_id(self) -> str:
        """The readable handle, `run_adult_0007`."""
        return self.path.name

    @property
    def journal(self) -> Journal:
        """The run's append-only record."""
        return Journal(self.path / "journal.sqlite")

    @property
    def data_path(self) -> Path:
        """The parsed table as it was when the run was opened."""
        return self.path / "data.parquet"

    @property
    def model_path(self) -> Path:
        """Folder of the final model."""
        return self.path / "model"

    @property
    def reports_path(self) -> Path:
        """Folder of reports."""
        return self.path / "reports"

    @property
    def plots_path(self) -> Path:
        """Folder of the report's plots as PNG."""
        return self.reports_path / "plots"

    @property
    def log_path(self) -> Path:
        """The worker's log: everything a client is not shown."""
        return self.path / "worker.log"

    @property
    def lock_path(self) -> Path:
        """Locked by the process that owns the run; the lock dies with it."""
        return self.path / "lock"

    def remove(self) -> None:
        """Delete the folder; for a run whose opening failed."""
        shutil.rmtree(self.path, ignore_errors=True)


def runs_folder(home: Path) -> Path:
    """Return the folder that holds all runs."""
    return home / "runs"


def create_run(home: Path, name: str) -> RunFolder:
    """Make a new run folder, private to the user, with the next free number."""
    root = runs_folder(home)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40].strip("_") or "data"
    taken = [int(path.name.rpartition("_")[2]) for path in root.iterdir() if _RUN_ID.fullmatch(path.name)]
    number = max(taken, default=0) + 1
    while True:
        path = root / f"run_{stem}_{number:04d}"
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            continue
        return RunFolder(path)


def open_run(home: Path, run_id: str) -> RunFolder:
    """Return an existing run; raises `InvalidInput` for a malformed handle and `NotFound` for an unknown one."""
    if not _RUN_ID.fullmatch(run_id):
        raise InvalidInput(f"expected a run_id like run_adult_0007, got {run_id[:60]!r}; list_runs shows yours")
    path = runs_folder(home) / run_id
    if not path.is_dir():
        known = ", ".join(run.run_id for run in list_runs(home)[:5]) or "none yet; profile_dataset opens one"
        raise NotFound(f"no run is called {run_id}; newest runs: {known}")
    return RunFolder(path)


def list_runs(home: Path) -> list[RunFolder]:
    """All runs, newest first."""
    root = runs_folder(home)
    if not root.is_dir():
        return []
    found = [RunFolder(path) for path in root.iterdir() if path.is_dir() and _RUN_ID.fullmatch(path.name)]
    return sorted(found, key=lambda run: int(run.run_id.rpartition("_")[2]), reverse=True)


def newest_run(home: Path) -> RunFolder:
    """Return the newest run; raises `NotFound` when there is none."""
    found = list_runs(home)
    if not found:
        raise NotFound("there is no run yet; call profile_dataset(path, target) first")
    return found[0]
