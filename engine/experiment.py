"""An experiment: an opened run in the worker, with its data, split, clock, journal and the evaluator. Every stage works on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import registry
from .dataset import Dataset, load_snapshot, open_dataset, save_snapshot
from .deadline import Deadline
from .errors import NotFound
from .evaluate import Evaluator
from .evaluation import FoldPlan
from .folds import Split
from .freed_memory import return_freed_memory
from .limits import Limits
from .profile import profile, shape_of
from .run import RunFolder
from .shape import DataShape
from .split import choose_split
from .target import check_metric
from .task import Task, TaskKind, asked_task, resolve_metric

if TYPE_CHECKING:
    from .checking import CheckOutcome
    from .ensembling import EnsembleResult
    from .plugins import FittedEnsemble
    from .refinement import Refinement
    from .roles import Role

Combination = tuple[str, tuple[tuple[str, int], ...]]
"""A strategy's key, and each member's with the digest of its out-of-fold predictions, in order."""

_REFERENCE = "lightgbm"
_PASS_SHARE = 0.2
"""The learner a pass over the folds is measured by, and the part of the budget one pass may take."""
_NEARLY_ALL, _MOST = 0.97, 0.85
_SMALL = 5_000
_LEAST_ROWS = 20_000

_VALIDATION_S, _VALIDATION_S_PER_VALUE = 3.5, 0.7e-6
_VALIDATION_SHARE = 0.16
"""What `validate` needs beside its fits (checks, examination, reload, plots, report) in seconds on two cores: 1 to 4 for small
tables, 7 for five million values; at most this share of a short budget, where it does less."""


@dataclass(frozen=True)
class Resources:
    """What the machine gives one job: threads in all, where evaluations are cached across runs, and the memory it may fill in MB
    (None: no bound)."""

    threads: int
    cache_path: Path
    memory_mb: int | None = None


@dataclass(frozen=True)
class Question:
    """What the user asked: the table, the target and everything that may be left to inference."""

    path: Path
    target: str
    task: TaskKind | Literal["auto"] = "auto"
    metric: str = "auto"
    time_column: str | None = None
    group_column: str | None = None
    id_columns: tuple[str, ...] = ()
    holdout: float | Literal["auto", "none"] = "auto"
    name: str | None = None
    seed: int = 0
    roles: dict[str, Role] | None = None
    limits: Limits = field(default_factory=Limits)


def silent(event: dict[str, Any]) -> None:
    """Drop progress events."""


@dataclass
class Experiment:
    """Everything a stage needs. Data, task, split and plan never change after the run was opened.

    `deadline` is the one clock of the job in hand; a stage that gets a share of it is handed that share.
    """

    run: RunFolder
    dataset: Dataset
    task: Task
    split: Split
    shape: DataShape
    profile: dict[str, Any]
    plan: FoldPlan
    seed: int
    resources: Resources
    deadline: Deadline
    budget_s: float
    report_progress: Callable[[dict[str, Any]], None] = field(default=silent)
    whole: Deadline | None = None
    """The clock of a whole run, where one job does all steps; None for a step on its own."""
    limits: Limits = field(default_factory=Limits)
    """What the final model may cost in use."""
    refined: Refinement | None = field(default=None, init=False)
    """What the rounds of refinement of this job found so far; `refine` tells them as one."""
    combined: EnsembleResult | None = field(default=None, init=False)
    """What an earlier round of this job combined; `build_ensemble` keeps it unless it finds as good a combination."""
    prepared: dict[str, CheckOutcome] = field(default_factory=dict)
    """Outcomes of data checks that were computed beside an earlier stage, by code; `checking` fills and uses it."""
    fitted_ensembles: dict[Combination, FittedEnsemble] = field(default_factory=dict, init=False)
    """Strategies fitted on all out-of-fold predictions; `ensembling` fills and uses it."""

    @cached_property
    def evaluator(self) -> Evaluator:
        """Scores solutions on the run's own folds."""
        return Evaluator(self, self.plan)

    @property
    def validation_s(self) -> float:
        """Seconds `validate` needs beside its fits."""
        values = self.dataset.n_rows * self.shape.n_columns
        return min(_VALIDATION_S + _VALIDATION_S_PER_VALUE * values, _VALIDATION_SHARE * self.budget_s)

    @property
    def final_fits(self) -> float:
        """How often `validate` must fit what is chosen, in fits on all rows: where a holdout is still sealed, on the development
        rows too. Where these are nearly all rows, a second fit adds next to nothing, and its time is better spent on one."""
        sealed = len(self.split.holdout) > 0 and self.run.journal.last("holdout_read") is None
        if not sealed:
            return 1.0
        nearly_all = self._development >= _NEARLY_ALL and self.split.kind != "time"
        return self._development if nearly_all else 1.0 + self._development

    @property
    def fewest_final_fits(self) -> float:
        """How often at least: a model fitted on most rows, the one the holdout was read with, is used as it is where the time does
        not allow another fit; a better model on nine tenths of the rows is worth more than a lesser one on all."""
        return self.one_final_fit if self._development >= _MOST else self.final_fits

    @property
    def one_final_fit(self) -> float:
        """How often where a model on development rows is used as it is; under time order the newest rows are never left out."""
        return self.final_fits if self.split.kind == "time" else min(self.final_fits, self._development)

    @property
    def _development(self) -> float:
        """Development rows, as a share of all."""
        return len(self.split.development) / self.dataset.n_rows

    @property
    def seconds_for_fits(self) -> float:
        """Seconds `validate` will have for its fits of what is chosen."""
        left_s = self.whole.remaining() if self.whole is not None else self.budget_s
        return max(0.0, left_s - self.validation_s)

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


def choose_plan(shape: DataShape, n_development: int, split_kind: str, budget_s: float, threads: int) -> FoldPlan:
    """Choose folds for the data and the budget: five for small tables, down to three and then fewer rows where one pass of a
    typical booster over the folds would take too large a part of the time (the paper searches on 30,000 rows)."""
    time_s = _PASS_SHARE * budget_s
    fewest = 4 if split_kind == "time" else 3
    most = 4 if split_kind == "time" or n_development > _SMALL else 5
    for n_folds in range(most, fewest - 1, -1):
        if _pass_seconds(shape, n_development, n_folds, threads) <= time_s:
            return FoldPlan(n_folds)
    whole_s = _pass_seconds(shape, n_development, fewest, threads)
    max_rows = int(max(n_development * time_s / whole_s, min(n_development, _LEAST_ROWS)))
    return FoldPlan(fewest, 1, max_rows if max_rows < n_development else None)


def _pass_seconds(shape: DataShape, n_rows: int, n_folds: int, threads: int) -> float:
    """Expected wall seconds of one evaluation of the reference booster."""
    fit_s = registry.model(_REFERENCE).cost(replace(shape, n_rows=int(n_rows * (n_folds - 1) / n_folds)))
    return fit_s * math.ceil(n_folds / threads)


def begin_experiment(
    run: RunFolder,
    question: Question,
    resources: Resources,
    deadline: Deadline,
    budget_s: float,
    report_progress: Callable[[dict[str, Any]], None] = silent,
) -> Experiment:
    """Read the table, decide roles, task, split and plan, and record them: the run is open from here on.

    Raises `InvalidInput` with a sentence for the user where the data cannot be used; nothing is recorded then.
    """
    dataset, kind, task_reason = open_dataset(
        question.path,
        question.target,
        task=asked_task(question.task, question.metric),
        time_column=question.time_column,
        group_column=question.group_column,
        id_columns=question.id_columns,
        roles=question.roles,
        name=question.name,
    )
    metric = resolve_metric(question.metric, kind)
    check_metric(metric.key, kind, dataset.y)
    task = Task(kind, metric, dataset.classes)
    split = choose_split(
        dataset,
        kind,
        holdout=question.holdout,
        seed=question.seed,
        time_column=question.time_column,
        group_column=question.group_column,
    )
    described = profile(dataset, kind, split)
    shape = shape_of(dataset, split, kind)
    plan = choose_plan(shape, len(split.development), split.kind, budget_s, resources.threads)
    save_snapshot(dataset, kind, run.data_path)
    split.save(_split_path(run))
    return_freed_memory()
    experiment = Experiment(
        run, dataset, task, split, shape, described, plan, question.seed, resources, deadline, budget_s, report_progress,
        limits=question.limits,
    )  # fmt: skip
    experiment.record("budget", {"time_budget_s": budget_s})
    experiment.record(
        "profile",
        {
            "task": {"kind": kind, "metric": metric.key, "reason": task_reason, "classes": len(dataset.classes)},
            "split": {
                "kind": split.kind,
                "reason": split.reason,
                "development": len(split.development),
                "holdout": len(split.holdout),
            },
            "shape": asdict(shape),
            "profile": described,
            "plan": plan.to_json(),
            "seed": question.seed,
            "fingerprint": dataset.fingerprint,
            "target": dataset.target,
            "name": dataset.name,
            "limits": question.limits.to_json(),
        },
    )
    return experiment


def reopen_experiment(
    run: RunFolder,
    resources: Resources,
    deadline: Deadline,
    report_progress: Callable[[dict[str, Any]], None] = silent,
) -> Experiment:
    """Open a profiled run from its folder; raises `NotFound` when it has no profile yet."""
    entry = run.journal.last("profile")
    if entry is None or not run.data_path.exists():
        raise NotFound(f"{run.run_id} has no profile yet; call profile_dataset(path, target) first")
    body = entry.body
    dataset, kind = load_snapshot(run.data_path)
    return_freed_memory()
    task = Task(kind, resolve_metric(body["task"]["metric"], kind), dataset.classes)
    return Experiment(
        run,
        dataset,
        task,
        Split.load(_split_path(run)),
        DataShape(**body["shape"]),
        body["profile"],
        FoldPlan(**body["plan"]),
        body["seed"],
        resources,
        deadline,
        float(budget.body["time_budget_s"]) if (budget := run.journal.last("budget")) else deadline.budget_s,
        report_progress,
        limits=Limits(**body.get("limits", {})),
    )


def _split_path(run: RunFolder) -> Path:
    return run.path / "split.npz"
