"""The phases of a run: which there are, how a run is opened, and how one phase is done and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..engine.registry import discover
from ..engine.run import RunFolder
from ..engine.windows import add_entry
from .contract import Report, Tool
from .profile_dataset import ProfileRequest

if TYPE_CHECKING:
    from ..engine.deadline import Deadline
    from ..engine.experiment import Experiment, Resources

ReportProgress = Callable[[dict[str, Any]], None]

PHASES = (
    "profile_dataset", "search_sota", "build_baselines", "run_ablation", "refine", "build_ensemble", "validate",
)  # fmt: skip


def tools() -> dict[str, Tool]:
    """All agent tools by name."""
    found: dict[str, Tool] = discover(__name__.rpartition(".")[0], "TOOL")
    return found


def open_experiment(
    request: ProfileRequest,
    run: RunFolder,
    resources: Resources,
    deadline: Deadline,
    budget_s: float,
    report_progress: ReportProgress,
) -> Experiment:
    """Open a run: read the table and decide task, split and plan, as this request asks.

    Raises
    ------
    InvalidInput
        With a sentence for the user; nothing is recorded then.
    """
    from ..engine.experiment import Question, begin_experiment
    from ..engine.limits import Limits

    report_progress({"phase": "profile", "message": "reading the table", "done": 0, "total": 1})
    words: dict[str, Literal["auto", "none"]] = {"auto": "auto", "none": "none"}
    holdout = words.get(request.holdout) or float(request.holdout)
    question = Question(
        Path(request.path), request.target, request.task, request.metric, request.time_column, request.group_column,
        request.id_columns, holdout, request.name, request.seed,
        limits=Limits(request.max_latency_ms, request.max_model_mb),
    )  # fmt: skip
    return begin_experiment(run, question, resources, deadline, budget_s, report_progress)


def run_phase(tool: Tool, request: Any, experiment: Experiment, deadline: Deadline) -> Report:
    """Run one step on its own clock; record its report and its window."""
    run = experiment.run
    experiment.record("phase", {"phase": tool.name, "status": "started"})
    started = time.monotonic()
    whole, experiment.deadline = experiment.deadline, deadline
    try:
        report = tool.work(request, experiment) if tool.work is not None else _answer(tool, request, run)
    finally:
        experiment.deadline = whole
    report.run_id = run.run_id
    if tool.work is not None:
        report.windows_changed = _write_windows(tool, report, run)
    body = report.model_dump(mode="json")
    experiment.record("report", {"tool": tool.name, "report": body})
    seconds = round(time.monotonic() - started, 2)
    experiment.record(
        "phase", {"phase": tool.name, "status": "finished", "seconds": seconds, "summary": report.summary}
    )
    return report


def _answer(tool: Tool, request: Any, run: RunFolder) -> Report:
    """Run a quick tool inside the workflow."""
    from .workspace import Workspace

    if tool.answer is None:
        raise TypeError(f"{tool.name} has neither work nor answer")
    report = tool.answer(request, Workspace(run.path.parent.parent))
    if not isinstance(report, Report):
        raise TypeError(f"{tool.name} steers jobs and is no step of the workflow")
    return report


def _write_windows(tool: Tool, report: Report, run: RunFolder) -> list[int]:
    """Put the outcome into the tool's window; the first step also fills the scope."""
    add_entry(run.journal, tool.window, report.digest(), 4, "tool", tool.name)
    if tool.name != "profile_dataset":
        return [tool.window]
    add_entry(run.journal, 1, f"{report.summary} Run {run.run_id}.", 5, "tool", tool.name)
    return [1, tool.window]
