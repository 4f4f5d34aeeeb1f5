"""The workflow: which step needs which, how time is shared between them, and the one entry the worker calls."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ..engine.errors import MleStarError, NotFound
from ..engine.registry import discover
from ..engine.run import RunFolder
from ..engine.windows import add_entry
from .contract import Report, Tool
from .profile_dataset import ProfileRequest

if TYPE_CHECKING:
    from ..engine.deadline import Deadline
    from ..engine.experiment import Experiment, Resources

log = logging.getLogger(__name__)

ReportProgress = Callable[[dict[str, Any]], None]

WORKFLOW = "workflow"
"""Name of the job that runs every phase; not an agent tool."""

PHASES = (
    "profile_dataset", "search_sota", "build_baselines", "run_ablation", "refine", "build_ensemble", "validate",
)  # fmt: skip

DEFAULT_BUDGET_S = 120.0

_FITS_AT_MOST, _FITS_AT_MOST_OF_MANY_ROWS = 0.25, 0.45
_ENSEMBLE_SHARE = 0.06
"""Shares of a whole run's time: kept at most for the final fits while searching (more where the search sees a part of the rows
only, and the final fits all), and kept for combining."""
_WORTH_ANOTHER_ROUND = 0.05
"""Of the budget: with less left than this a second round is not begun."""

_LIBRARIES = ("lightgbm", "sklearn.ensemble", "sklearn.linear_model", "sklearn.feature_extraction.text")

_OPTIONAL = ("search_sota", "run_ablation", "refine", "build_ensemble")
"""Steps of a whole run that improve the result; without one of them there still is a validated model."""


class WorkflowRequest(ProfileRequest):
    """Arguments of a whole run."""

    search_iterations: Annotated[int, Field(ge=0, le=5)] = 2
    refinement_iterations: Annotated[int, Field(ge=0, le=32)] = 4
    learners: list[str] | None = None


class WorkflowReport(Report):
    """The reports of all phases, by tool name."""

    phases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seconds: float = 0.0


def tools() -> dict[str, Tool]:
    """All agent tools by name."""
    found: dict[str, Tool] = discover(__name__.rpartition(".")[0], "TOOL")
    return found


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
    from ..engine.deadline import Deadline
    from ..engine.experiment import Resources, reopen_experiment

    resources = Resources(threads, home / "cache", memory_mb)
    if name == WORKFLOW:
        return _run_workflow(WorkflowRequest(**arguments), run, resources, report_progress)
    tool = tools().get(name)
    if tool is None or tool.work is None:
        raise NotFound(f"no job is called {name!r}; accepted: {', '.join(PHASES)}")
    request = tool.request(**arguments)
    budget_s = getattr(request, "time_budget_s", None) or _run_budget(run)
    deadline = Deadline(budget_s)
    if isinstance(request, ProfileRequest):
        experiment = _open(request, run, resources, deadline, budget_s, report_progress)
    else:
        experiment = reopen_experiment(run, resources, deadline, report_progress)
    if tool.name == PHASES[-1]:
        experiment.whole = deadline
    if tool.refuse is not None:
        tool.refuse(request)
    missing = list(_missing(tool, run))
    clocks = _clocks([*missing, tool], deadline)
    for step in missing:
        _phase(step, step.request.model_validate({"run_id": run.run_id}), experiment, next(clocks))
    report = _phase(tool, request, experiment, next(clocks))
    report.did_first = [step.name for step in missing]
    return report


def _run_budget(run: RunFolder) -> float:
    """The budget the run was opened with, for steps that name none."""
    entry = run.journal.last("budget")
    return float(entry.body["time_budget_s"]) if entry else DEFAULT_BUDGET_S


def _open(
    request: ProfileRequest,
    run: RunFolder,
    resources: Resources,
    deadline: Deadline,
    budget_s: float,
    report_progress: ReportProgress,
) -> Experiment:
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


def _phase(tool: Tool, request: Any, experiment: Experiment, deadline: Deadline) -> Report:
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


def _run_workflow(
    request: WorkflowRequest, run: RunFolder, resources: Resources, report_progress: ReportProgress
) -> WorkflowReport:
    """Run all phases on one clock. A phase that only improves the result may fail: the run goes on with what it has."""
    from ..engine.deadline import Deadline

    budget_s = request.time_budget_s or DEFAULT_BUDGET_S
    deadline = Deadline(budget_s)
    first, steps = tools()[PHASES[0]], _planned(request)
    opening = ProfileRequest(**{name: getattr(request, name) for name in ProfileRequest.model_fields})
    experiment = _open(opening, run, resources, deadline, budget_s, report_progress)
    experiment.whole = deadline
    reports = {first.name: _phase(first, opening, experiment, deadline)}
    preparation = threading.Thread(target=_prepare_validation, args=(experiment,), daemon=True)
    for number, (step, arguments) in enumerate(steps):
        if step.name == "build_ensemble":
            preparation.start()
        if step.name == "validate":
            preparation.join()
        step_request = step.request.model_validate({"run_id": run.run_id, **arguments})
        try:
            waiting = [later for later, _ in steps[number:-1]]
            clock = _clock_before_validation(waiting, experiment, deadline)
            if step.name == "refine":
                experiment.time_left = partial(_time_for_another_round, waiting, experiment, deadline)
            reports[step.name] = _phase(step, step_request, experiment, clock)
        except Exception as error:
            if step.name not in _OPTIONAL:
                raise
            log.warning("%s failed; the run goes on without it", step.name, exc_info=True)
            said = (
                str(error)
                if isinstance(error, MleStarError)
                else f"{type(error).__name__}; the run's log has the details"
            )
            reports[step.name] = step.report(run_id=run.run_id, status="failed", summary=f"{step.name} failed: {said}")
    last = reports[PHASES[-1]]
    return WorkflowReport(
        run_id=run.run_id,
        summary=last.summary,
        next="mle-star predict",
        windows_changed=sorted({number for report in reports.values() for number in report.windows_changed}),
        phases={name: report.model_dump(mode="json") for name, report in reports.items()},
        seconds=round(deadline.elapsed(), 1),
    )


def _clock_before_validation(steps: list[Tool], experiment: Experiment, deadline: Deadline) -> Deadline:
    """Give the next step its share of the time that validation does not need; validation itself gets all that is left.

    Validation fits the chosen solutions, on development rows, on all, and one on a fold; what that takes is known better with
    every step.
    """
    from ..engine.forecast import expected_fit_seconds

    if not steps:
        return deadline
    most = _FITS_AT_MOST if experiment.plan.max_rows is None else _FITS_AT_MOST_OF_MANY_ROWS
    fits_s = min(expected_fit_seconds(experiment), most * deadline.budget_s)
    left_s = max(0.0, deadline.remaining() - experiment.validation_s)
    if steps[0].name == "build_ensemble":
        # Worth more than anything else in the same seconds, so it never goes without; it keeps to what can be fitted afterwards.
        return deadline.at_most(max(left_s - fits_s, min(_ENSEMBLE_SHARE * deadline.budget_s, 0.5 * left_s)))
    free_s = max(0.0, left_s - fits_s - _ENSEMBLE_SHARE * deadline.budget_s)
    searching = [step for step in steps if step.name != "build_ensemble"]
    return deadline.at_most(free_s * steps[0].share / sum(step.share for step in searching))


def _time_for_another_round(steps: list[Tool], experiment: Experiment, deadline: Deadline) -> Deadline | None:
    """A second share for the step in hand, where what it found needs less time for its final fits than was kept for them."""
    least_s = _WORTH_ANOTHER_ROUND * deadline.budget_s
    if deadline.remaining() - experiment.validation_s - _ENSEMBLE_SHARE * deadline.budget_s < least_s:
        return None
    clock = _clock_before_validation(steps, experiment, deadline)
    return clock if clock.remaining() >= least_s else None


def _planned(request: WorkflowRequest) -> list[tuple[Tool, dict[str, Any]]]:
    """The steps after the profile with their arguments; without iterations a step is left out."""
    known = tools()
    steps: list[tuple[Tool, dict[str, Any]]] = []
    if request.search_iterations:
        steps.append((known["search_sota"], {"iterations": request.search_iterations}))
    steps.append((known["build_baselines"], {"learners": request.learners}))
    if request.refinement_iterations:
        steps.append((known["run_ablation"], {}))
        steps.append((known["refine"], {"iterations": request.refinement_iterations}))
    return [*steps, (known["build_ensemble"], {}), (known["validate"], {})]


def _prepare_validation(experiment: Experiment) -> None:
    """What validation asks of the data alone depends on no model, so it runs beside the ensemble."""
    from ..engine.checking import prepare_data_checks

    prepare_data_checks(experiment)


__all__ = ["PHASES", "WORKFLOW", "WorkflowReport", "WorkflowRequest", "perform", "tools"]
