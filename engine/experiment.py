"""An experiment: an opened run in the worker, with its data, split, clock, journal and the evaluator. Every stage works on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dataset import Dataset
from .deadline import Deadline
from .folds import Split
from .run import RunFolder
from .shape import DataShape
from .task import Task

if TYPE_CHECKING:
    from .evaluate import Evaluator


@dataclass(frozen=True)
class Resources:
    """What the machine gives one job: threads in all, and where evaluations are cached across runs."""

    threads: int
    cache_path: Path


def silent(event: dict[str, Any]) -> None:
    """Drop progress events."""


@dataclass
class Experiment:
    """Everything a stage needs. The frozen parts (data, task, split) never change after `profile_dataset` opened the run."""

    run: RunFolder
    dataset: Dataset
    task: Task
    split: Split
    shape: DataShape
    profile: dict[str, Any]
    seed: int
    resources: Resources
    deadline: Deadline
    report_progress: Callable[[dict[str, Any]], None] = field(default=silent)

    @cached_property
    def evaluator(self) -> Evaluator:
        """The one place where a score is computed."""
        from .evaluate import Evaluator

        return Evaluator(self)

    def record(self, kind: str, body: dict[str, Any]) -> None:
        """Append to the run's journal."""
        self.run.journal.append(kind, body)

    def progress(
        self, phase: str, message: str, done: int = 0, total: int = 0, best_score: float | None = None
    ) -> None:
        """Tell whoever watches where the work stands."""
        self.report_progress(
            {
                "phase": phase,
                "message": message,
                "done": done,
                "total": total,
                "best_score": best_score,
                "seconds_left": round(self.deadline.remaining(), 1),
            }
        )
