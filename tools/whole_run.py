"""The whole workflow on one clock: how time is shared between its phases, and what is done with time that is left."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..engine.deadline import Deadline
from ..engine.errors import MleStarError
from ..engine.run import RunFolder
from .contract import Report, Tool
from .phase import PHASES, ReportProgress, open_experiment, run_phase, tools
from .profile_dataset import ProfileRequest

if TYPE_CHECKING:
    from ..engine.experiment import Experiment, Resources

log = logging.getLogger(__name__)

WORKFLOW = "workflow"
"""Name of the job that runs every phase; not an agent tool."""

DEFAULT_BUDGET_S = 120.0

_FITS_AT_MOST, _FITS_AT_MOST_OF_MANY_ROWS = 0.4, 0.45
_ENSEMBLE_SHARE = 0.06
"""Shares of a whole run's time: kept at most for the final fits while searching (more where the search sees a part of the rows
only, and the final fits all), and kept for combining."""
_AFTER_FIRST, _AGAIN = 0.6, 1.2
"""Times what it took before is kept for combining once more, after the first time, when all strategies were tried, and later: there
are more members then."""
_COMBINING_S = 1.0
"""At least so much is kept for it: without it a round may end with the best single solution, for want of a tenth of a second."""
_WORTH_ANOTHER_ROUND = 0.03
"""Of the budget: with less left than this another round is not begun."""

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


def run_workflow(
    request: WorkflowRequest, run: RunFolder, resources: Resources, report_progress: ReportProgress
) -> WorkflowReport:
    """Run all phases on one clock. A phase that only improves the result may fail: the run goes on with what it has."""
    from ..engine.experiment import reopen_experiment

    budget_s = request.time_budget_s or DEFAULT_BUDGET_S
    deadline = Deadline(budget_s)
    opening = ProfileRequest(**{name: getattr(request, name) for name in ProfileRequest.model_fields})
    # A worker that goes on where another one died keeps the run's folds: with less time left it would choose others, and nothing
    # that is scored would count any more.
    begun = run.journal.last("profile") is not None and run.data_path.exists()
    experiment = (
        reopen_experiment(run, resources, deadline, report_progress)
        if begun
        else open_experiment(opening, run, resources, deadline, budget_s, report_progress)
    )
    experiment.whole = deadline
    whole = _WholeRun(experiment, deadline)
    whole.take(tools()[PHASES[0]], opening, deadline)
    whole.walk(_planned(request, run.run_id))
    reports = whole.reports
    return WorkflowReport(
        run_id=run.run_id,
        summary=reports[PHASES[-1]].summary,
        next="mle-star predict",
        windows_changed=sorted({number for report in reports.values() for number in report.windows_changed}),
        phases={name: report.model_dump(mode="json") for name, report in reports.items()},
        seconds=round(deadline.elapsed(), 1),
    )


class _WholeRun:
    """A whole run in progress.

    Attributes
    ----------
    reports : dict of str to Report
        The newest report of every phase that was taken.
    """

    def __init__(self, experiment: Experiment, deadline: Deadline) -> None:
        self.experiment = experiment
        self.deadline = deadline
        self.reports: dict[str, Report] = {}
        self._for_ensemble_s = _ENSEMBLE_SHARE * deadline.budget_s

    def walk(self, steps: list[tuple[Tool, Any]]) -> None:
        """Take the steps after the profile, the last of which is validation; it gets all the time that is left."""
        preparation = threading.Thread(target=_prepare_validation, args=(self.experiment,), daemon=True)
        refinement: tuple[Tool, Any] | None = None
        *before, (validate, validation) = steps
        for number, (step, request) in enumerate(before):
            if step.name == "build_ensemble":
                preparation.start()
            searching = [later.share for later, _ in before[number:] if later.name != "build_ensemble"]
            done = self.take(step, request, self._clock(step, self._expected_fits_s(), searching))
            if step.name == "refine" and done:
                refinement = step, request
            elif step.name == "build_ensemble":
                # Beside fits the checks would make these look dearer than they are.
                preparation.join()
                if refinement is not None and done:
                    self._refine_and_combine_on(*refinement, step, request)
        self.take(validate, validation, self.deadline)

    def take(self, step: Tool, request: Any, clock: Deadline) -> bool:
        """Do one phase; the failure of an optional one is its report, or a note in that of an earlier round, and False."""
        started, is_first = time.monotonic(), step.name not in self.reports
        try:
            self.reports[step.name] = run_phase(step, request, self.experiment, clock)
        except Exception as error:
            if step.name not in _OPTIONAL:
                raise
            log.warning("%s failed; the run goes on without it", step.name, exc_info=True)
            said = (
                str(error)
                if isinstance(error, MleStarError)
                else f"{type(error).__name__}; the run's log has the details"
            )
            if (earlier := self.reports.get(step.name)) is not None:
                noted = f"{earlier.summary} A later round failed: {said}."
                self.reports[step.name] = earlier.model_copy(update={"summary": noted})
            else:
                self.reports[step.name] = step.report(
                    run_id=self.experiment.run.run_id, status="failed", summary=f"{step.name} failed: {said}"
                )
            return False
        if step.name == "build_ensemble":
            share = _AFTER_FIRST if is_first else _AGAIN
            took_s = time.monotonic() - started
            self._for_ensemble_s = min(self._for_ensemble_s, max(_COMBINING_S, share * took_s))
        return True

    def _refine_and_combine_on(self, refine: Tool, refinement: Any, ensemble: Tool, combination: Any) -> None:
        """More rounds, as long as the final fits of what is chosen leave time for one and something new is scored in it."""
        while self._is_worth_a_round(clock := self._clock(refine, self._chosen_fits_s(), [refine.share])):
            scored = self._n_scored()
            if not self.take(refine, refinement, clock) or self._n_scored() == scored:
                return
            if not self.take(ensemble, combination, self._clock(ensemble, self._chosen_fits_s(), [])):
                return

    def _is_worth_a_round(self, clock: Deadline) -> bool:
        return clock.remaining() >= _WORTH_ANOTHER_ROUND * self.deadline.budget_s

    def _clock(self, step: Tool, fits_s: float, searching: list[float]) -> Deadline:
        """Give a step its share, among those still `searching`, of the time that combining and validation do not need.

        Validation fits the chosen solutions, on development rows, on all, and one on a fold; what that takes is known better with
        every step.
        """
        left_s = max(0.0, self.deadline.remaining() - self.experiment.validation_s)
        if step.name == "build_ensemble":
            # Worth more than anything else in the same seconds, so it never goes without; it keeps to what can be fitted
            # afterwards.
            return self.deadline.at_most(max(left_s - fits_s, min(self._for_ensemble_s, 0.5 * left_s)))
        free_s = max(0.0, left_s - fits_s - self._for_ensemble_s)
        return self.deadline.at_most(free_s * step.share / sum(searching))

    def _expected_fits_s(self) -> float:
        """Seconds for the final fits of what may be chosen."""
        from ..engine.forecast import expected_fit_seconds

        most = _FITS_AT_MOST if self.experiment.plan.max_rows is None else _FITS_AT_MOST_OF_MANY_ROWS
        most_s = most * self.deadline.budget_s
        return min(self._forecast(expected_fit_seconds, most_s), most_s)

    def _chosen_fits_s(self) -> float:
        """Seconds for the final fits of what is chosen now; without a forecast all that is left."""
        from ..engine.forecast import chosen_fit_seconds

        return self._forecast(chosen_fit_seconds, self.deadline.remaining())

    def _forecast(self, seconds: Callable[[Experiment], float], otherwise_s: float) -> float:
        """A forecast; one that fails must not take the run with it."""
        try:
            return seconds(self.experiment)
        except Exception:
            log.warning("no forecast of the final fits", exc_info=True)
            return otherwise_s

    def _n_scored(self) -> int:
        from ..engine.leaderboard import leaderboard

        return len(leaderboard(self.experiment))


def _planned(request: WorkflowRequest, run_id: str) -> list[tuple[Tool, Any]]:
    """The steps after the profile with their requests; without iterations a step is left out."""
    known = tools()
    steps: list[tuple[str, dict[str, Any]]] = []
    if request.search_iterations:
        steps.append(("search_sota", {"iterations": request.search_iterations}))
    steps.append(("build_baselines", {"learners": request.learners}))
    if request.refinement_iterations:
        steps.append(("run_ablation", {}))
        steps.append(("refine", {"iterations": request.refinement_iterations}))
    steps += [("build_ensemble", {}), ("validate", {})]
    return [
        (known[name], known[name].request.model_validate({"run_id": run_id, **arguments})) for name, arguments in steps
    ]


def _prepare_validation(experiment: Experiment) -> None:
    """What validation asks of the data alone depends on no model, so it runs beside the ensemble; so does loading what draws."""
    from ..engine.checking import prepare_data_checks

    for module in ("report", "plots"):
        importlib.import_module(f"..engine.{module}", __package__)
    prepare_data_checks(experiment)


__all__ = ["DEFAULT_BUDGET_S", "WORKFLOW", "WorkflowReport", "WorkflowRequest", "run_workflow"]
