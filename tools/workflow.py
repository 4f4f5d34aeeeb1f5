"""The one entry the worker calls: a tool with the phases it needs first, or the whole workflow."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.deadline import Deadline
from ..engine.errors import NotFound
from ..engine.run import RunFolder
from .contract import Report, Tool
from .phase import PHASES, ReportProgress, open_experiment, run_phase, tools
from .profile_dataset import ProfileRequest
from .whole_run import DEFAULT_BUDGET_S, WORKFLOW, WorkflowReport, WorkflowRequest, run_workflow

_LIBRARIES = ("lightgbm", "sklearn.ensemble", "sklearn.linear_model", "sklearn.feature_extraction.text")


def load_libraries() -> None:
    """Import what jobs use, in a worker that waits for its order: most of a short job's time goes there."""
    from ..engine import ablation, baselines, ensembling, experiment, refinement, registry, validation  # noqa: F401

    registry.models()
    tools()
    for module in _LIBRARIES:
        with suppress(ImportError):
            # One that is missing or broken is named by the job that needs it.
            importlib.import_module(module)


def perform(
    name: str,
    arguments: dict[str, Any],
    run: RunFolder,
    home: Path,
    threads: int,
    report_progress: ReportProgress,
    memory_mb: int | None = None,
) -> Report:
    """Do one job on a run: a tool with everything it needs first, or the whole workflow.

    Parameters
    ----------
    name : str
        A tool's name, or `workflow`.
    arguments : dict
        The tool's arguments as the client gave them; validated here once more.
    report_progress : callable
        Receives progress events as dicts.
    memory_mb : int, optional
        What the process may fill before it is ended from outside.

    Raises
    ------
    MleStarError
        With a sentence for the user; a run whose profile failed has recorded nothing.
    """
    from ..engine.experiment import Resources, reopen_experiment

    resources = Resources(threads, home / "cache", memory_mb)
    if name == WORKFLOW:
        return run_workflow(WorkflowRequest(**arguments), run, resources, report_progress)
    tool = tools().get(name)
    if tool is None or tool.work is None:
        raise NotFound(f"no job is called {name!r}; accepted: {', '.join(PHASES)}")
    request = tool.request(**arguments)
    budget_s = getattr(request, "time_budget_s", None) or _run_budget(run)
    deadline = Deadline(budget_s)
    if isinstance(request, ProfileRequest):
        experiment = open_experiment(request, run, resources, deadline, budget_s, report_progress)
    else:
        experiment = reopen_experiment(run, resources, deadline, report_progress)
    if tool.name == PHASES[-1]:
        experiment.whole = deadline
    if tool.refuse is not None:
        tool.refuse(request, experiment)
    missing = list(_missing(tool, run))
    clocks = _clocks([*missing, tool], deadline)
    for step in missing:
        run_phase(step, step.request.model_validate({"run_id": run.run_id}), experiment, next(clocks))
    report = run_phase(tool, request, experiment, next(clocks))
    report.did_first = [step.name for step in missing]
    return report


def _run_budget(run: RunFolder) -> float:
    """The budget the run was opened with, for steps that name none."""
    entry = run.journal.last("budget")
    return float(entry.body["time_budget_s"]) if entry else DEFAULT_BUDGET_S


def _missing(tool: Tool, run: RunFolder) -> Iterator[Tool]:
    """Earlier steps that have not finished on this run, in workflow order."""
    finished = {entry.body["tool"] for entry in run.journal.read("report")}
    needed: set[str] = set()
    pending = list(tool.after)
    known = tools()
    while pending:
        name = pending.pop()
        if name not in needed and name not in finished:
            needed.add(name)
            pending.extend(known[name].after)
    for name in PHASES:
        if name in needed:
            yield known[name]


def _clocks(steps: list[Tool], deadline: Deadline) -> Iterator[Deadline]:
    """Give each step its share of what is left when it starts, so that time one step saves goes to those after it."""
    for number, step in enumerate(steps):
        rest = sum(later.share for later in steps[number:])
        yield deadline.share(step.share / rest) if number < len(steps) - 1 and rest > 0 else deadline


__all__ = ["PHASES", "WORKFLOW", "WorkflowReport", "WorkflowRequest", "perform", "tools"]
