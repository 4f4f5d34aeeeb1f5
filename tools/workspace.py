"""What a quick tool works on: the run folders, and the jobs on them as far as the server lends them. Light on import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..engine import run as runs
from ..engine.errors import Failure, InvalidInput
from ..engine.run import RunFolder
from .contract import Progress, Status


class Job(Protocol):
    """A job as the server knows it; times are seconds since the epoch."""

    @property
    def tool(self) -> str:
        """The tool that works."""

    @property
    def status(self) -> Status:
        """Where it stands."""

    @property
    def worked_s(self) -> float:
        """Seconds it has worked, or waited for its turn, while it runs."""

    @property
    def seconds_left(self) -> float | None:
        """What is left of its time budget; None before it has begun."""

    @property
    def queued(self) -> bool:
        """True while it waits for its turn."""

    @property
    def progress(self) -> Mapping[str, Any] | None:
        """Its newest progress event."""

    @property
    def report(self) -> Mapping[str, Any] | None:
        """Its report when it finished."""

    @property
    def error(self) -> Failure | None:
        """Why it has none."""

    @property
    def delivered(self) -> bool:
        """True when a client was told how it ended."""


def progress_of(job: Job) -> Progress:
    """Where a running job stands; the time left is what it is now, not what it was at the last event."""
    event = {"phase": job.tool, "message": "starting", **(job.progress or {})}
    told = event.get("seconds_left")
    left = [seconds for seconds in (told, job.seconds_left) if seconds is not None]
    return Progress.model_validate({**event, "seconds_left": min(left) if left else None})


class Steering(Protocol):
    """What the server lets a tool do with jobs. All state is on disk, so it also holds for jobs of another server."""

    def state(self, run: RunFolder) -> Job | None:
        """Return the run's newest job."""

    async def wait(self, run: RunFolder, timeout_s: float) -> Job | None:
        """Wait for the run's newest job, at most so long, and count its outcome as told to the client."""

    async def cancel(self, run: RunFolder) -> Job | None:
        """End the run's job within two seconds."""


@dataclass(frozen=True)
class Workspace:
    """The home folder with its runs; `steering` is there in the server only."""

    home: Path
    steering: Steering | None = None

    def run(self, run_id: str | None) -> RunFolder:
        """Return a run by its handle, the newest without one; raises `NotFound` or `InvalidInput`."""
        return runs.open_run(self.home, run_id) if run_id else runs.newest_run(self.home)

    def runs(self) -> list[RunFolder]:
        """All runs, newest first."""
        return runs.list_runs(self.home)

    @property
    def jobs(self) -> Steering:
        """Access to jobs; raises `InvalidInput` outside a server."""
        if self.steering is None:
            raise InvalidInput("jobs can be steered through the server only; start it with mle-star serve")
        return self.steering
