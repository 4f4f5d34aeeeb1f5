"""The workflow without an agent: open a run, start its jobs, show the journal as it grows, copy the results to a folder.

Used by the command line. Knows no ML: the work is the same jobs that the server starts for an agent.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from pydantic import ValidationError

from ..engine.errors import Cancelled, DeadlinePassed, InvalidInput, MleStarError
from ..engine.run import RunFolder, create_run
from ..tools.contract import Report, Tool
from ..tools.workflow import PHASES, WORKFLOW, WorkflowRequest, tools
from ..tools.workspace import Workspace
from .console import Display, phase_title
from .errors import argument_message
from .job_state import JobState
from .jobs import Jobs
from .paths import resolve_data_path
from .settings import Settings

POLL_S = 0.5
"""How often the journal is read while a job runs."""
LEAST_BUDGET_S = 1.0
"""A job that starts late still gets this much; it returns what a second allows."""
_AROUND_THE_JOB_S = 0.6
"""What a job takes beside its own clock: starting its process, noticing its end, copying what it made."""
WRITTEN = ("report.html", "report.json", "leaderboard.csv")
"""Files copied from the run's reports to the output folder, beside `model/`."""
_MODEL_MARK = "manifest.json"


class JobFailed(MleStarError, RuntimeError):
    """A job ended without a result for a reason that is not the user's input; its text says where the details are."""


@dataclass(frozen=True)
class Order:
    """What the user asked for on the command line. `options` are the further arguments of the workflow job."""

    path: Path
    target: str
    options: dict[str, Any]
    time_budget_s: float
    timeout_s: float | None
    output: Path | None
    interactive: bool

    def arguments(self) -> dict[str, Any]:
        """Arguments of the workflow job, but for the time budget."""
        return {"path": str(self.path), "target": self.target, **self.options}


def execute(order: Order, settings: Settings, display: Display, started: float) -> None:
    """Do the whole order; the display has shown the result when this returns.

    Parameters
    ----------
    started : float
        `time.monotonic()` at the start of the process; both time limits count from there.

    Raises
    ------
    MleStarError
        The data or an argument cannot be used; no run is left behind.
    Cancelled, DeadlinePassed, JobFailed
        A job ended without a result; the run folder is kept.
    KeyboardInterrupt
        After the worker has ended.
    """
    path = resolve_data_path(str(order.path), settings)
    try:
        WorkflowRequest(**order.arguments(), time_budget_s=order.time_budget_s)
    except ValidationError as error:
        raise InvalidInput(argument_message(error, "mle-star run", WorkflowRequest)) from error
    made_output = _check_output(order.output)
    run = create_run(settings.make_home(), order.options.get("name") or path.name.split(".")[0])
    watch = _Watch(run, settings, display, started, order.timeout_s)
    arguments = {**order.arguments(), "path": str(path)}
    try:
        display.opened(run.run_id, {**arguments, "dataset": str(order.path), "time_budget_s": order.time_budget_s})
        if order.interactive:
            _phase_by_phase(arguments, order.time_budget_s, watch)
        else:
            left_s = max(LEAST_BUDGET_S, started + order.time_budget_s - _AROUND_THE_JOB_S - time.monotonic())
            watch.do(WORKFLOW, {**arguments, "time_budget_s": left_s})
        result = {
            "run_id": run.run_id,
            "status": "finished",
            "seconds": round(time.monotonic() - started, 1),
            "phases": {entry.body["tool"]: entry.body["report"] for entry in run.journal.read("report")},
            "files": _collect(run, order.output),
        }
        display.result(result)
    finally:
        display.close()
        if run.journal.last("profile") is None:
            run.remove()
        if order.output is not None and made_output:
            with contextlib.suppress(OSError):
                order.output.rmdir()  # succeeds only where nothing was written


class _Watch:
    """Runs jobs of one run, one after the other, and shows their journal meanwhile."""

    def __init__(
        self, run: RunFolder, settings: Settings, display: Display, started: float, timeout_s: float | None
    ) -> None:
        self.run = run
        self.display = display
        self.started = started
        self._settings = settings
        self._timeout_s = timeout_s
        self._seen = 0

    def do(self, name: str, arguments: dict[str, Any]) -> None:
        """Start a job and return when it has finished; raises as `execute` says."""
        state = anyio.run(partial(self._follow, name, arguments))
        self._show_news()
        self._check(state)

    def answer(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Do a quick phase, one without a job, and record it as the workflow would."""
        assert tool.answer is not None
        journal, begin = self.run.journal, time.monotonic()
        journal.append("phase", {"phase": tool.name, "status": "started"})
        request = tool.request(**{**arguments, "run_id": self.run.run_id})
        report = tool.answer(request, Workspace(self._settings.home))
        assert isinstance(report, Report)
        journal.append("report", {"tool": tool.name, "report": report.model_dump(mode="json")})
        ended = {"seconds": round(time.monotonic() - begin, 2), "summary": report.summary}
        journal.append("phase", {"phase": tool.name, "status": "finished", **ended})
        self._show_news()

    async def _follow(self, name: str, arguments: dict[str, Any]) -> JobState:
        jobs = Jobs(self._settings)
        limit_s = math.inf if self._timeout_s is None else self.started + self._timeout_s - time.monotonic()
        try:
            with anyio.move_on_after(limit_s):
                job_id = await jobs.submit(self.run, name, arguments)
                while True:
                    state = await jobs.wait(self.run, job_id, POLL_S)
                    self._show_news()
                    if state.status != "running":
                        return state
            raise DeadlinePassed(
                f"stopped at --timeout {self._timeout_s:g} s without a result; a smaller --time-budget leaves time to finish"
            )
        finally:
            # The hard limit and Ctrl-C end the worker too, before this process goes on.
            with anyio.CancelScope(shield=True):
                await jobs.cancel(self.run)
            jobs.shutdown()

    def _check(self, state: JobState) -> None:
        if state.status == "finished":
            return
        message = state.error.message if state.error else f"{state.tool} ended as {state.status}"
        if state.status == "cancelled":
            raise Cancelled(message)
        if state.error is not None and state.error.kind == "invalid":
            raise InvalidInput(message)
        if state.error is not None and state.error.kind == "timeout":
            raise DeadlinePassed(message)
        raise JobFailed(f"{message} ({self.run.log_path})")

    def _show_news(self) -> None:
        for entry in self.run.journal.read(after=self._seen):
            self._seen = entry.seq
            self.display.entry(entry)


def _phase_by_phase(arguments: dict[str, Any], budget_s: float, watch: _Watch) -> None:
    """Ask before each phase; time spent on answering is not charged to the budget."""
    known = tools()
    spent_s = time.monotonic() - watch.started
    phases = [name for name in PHASES if _arguments_of(name, arguments).get("iterations") != 0]
    for number, name in enumerate(phases):
        answer = _ask(name) if number else "y"
        if answer == "q":
            return
        if answer == "n":
            continue
        rest = sum(known[later].share for later in phases[number:])
        share = known[name].share / rest if rest else 1.0
        begin = time.monotonic()
        given = _arguments_of(name, arguments)
        if known[name].answer is not None:
            watch.answer(known[name], given)
        else:
            watch.do(name, {**given, "time_budget_s": max(LEAST_BUDGET_S, share * (budget_s - spent_s))})
        spent_s += time.monotonic() - begin


def _ask(phase: str) -> str:
    """Return y, n (skip this phase) or q (stop here)."""
    while True:
        sys.stderr.write(f"{phase_title(phase)}? [Y/n/q] ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise InvalidInput(
                "expected answers on standard input with --interactive, it has ended; use --non-interactive"
            )
        answer = line.strip().lower()[:1] or "y"
        if answer in "ynq":
            return answer


def _check_output(output: Path | None) -> bool:
    """Raise `InvalidInput` before any work is done for an output folder that cannot be used; returns whether it was made here."""
    if output is None:
        return False
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"expected a folder for --output, got the file {output}; name another one")
    model = output / "model"
    if model.exists() and not (model / _MODEL_MARK).is_file():
        raise InvalidInput(f"{model} exists and is not a saved model; name another --output so that nothing is lost")
    is_new = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"--output {output} cannot be made: {error.strerror}; name another folder") from error
    try:
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise InvalidInput(f"--output {output} cannot be written: {error.strerror}; name another folder") from error
    return is_new


def _arguments_of(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The part of the workflow's arguments that belongs to one phase."""
    if name == "profile_dataset":
        return {key: value for key, value in arguments.items() if not key.endswith("_iterations")}
    limits = {"search_sota": "search_iterations", "refine": "refinement_iterations"}
    limit = arguments.get(limits.get(name, ""))
    return {} if limit is None else {"iterations": limit}


def _copy(source: Path, folder: Path) -> None:
    """Copy a file or folder; it appears complete or not at all."""
    target, staging = folder / source.name, folder / f".{source.name}.new"
    if source.is_dir():
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(source, staging)
        shutil.rmtree(target, ignore_errors=True)
    else:
        shutil.copyfile(source, staging)
    staging.replace(target)


def _collect(run: RunFolder, output: Path | None) -> dict[str, str]:
    """Copy what was written to the output folder; return the paths by name, those in the run folder without one."""
    sources = [run.reports_path / name for name in WRITTEN] + [run.model_path]
    written = [source for source in sources if source.exists()]
    if output is None:
        return {source.name: str(source) for source in written}
    try:
        for source in written:
            _copy(source, output)
    except OSError as error:
        raise InvalidInput(
            f"{run.run_id} is finished, but {output} cannot be written: {error.strerror or error}; its files are in {run.path}"
        ) from error
    return {source.name: str(output / source.name) for source in written}
