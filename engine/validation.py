"""Validation: is the chosen model good, certain and safe enough to use? Findings, estimates, gates, a verdict, and the final model.

What the clock did not allow is reported as not applicable.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from .checking import BROKEN, NO_TIME, CheckOutcome, by_severity, run_checks, sample
from .compare import Interval, interval_of_next, paired_comparison
from .errors import Cancelled, DeadlinePassed
from .examination import Examination, examine_fold
from .experiment import Experiment
from .final import Chosen, chosen, out_of_fold
from .final_fits import FinalFits
from .final_model import FinalModel
from .gates import Gate, GateResult, choose_gates, judge
from .holdout import Holdout, choice_key, read_holdout, recorded_holdout
from .leaderboard import Ranked, leaderboard
from .plugins import Finding, NotApplicable
from .resampling import noise_of_a_fold
from .serving import Reload, Speed, check_reload, measure_speed, peak_memory_mb, saved_mb

log = logging.getLogger(__name__)

Verdict = Literal["READY", "NOT READY"]

_REPORT_S = 2.5
_REPORT_SHARE = 0.3
_TRIED_ROWS = 2_000
_NOTHING = 0.05
"""Share of the score up to which a dummy's counts as nothing."""
_FROM_OOF = ("CONSTANT_PREDICTIONS", "DUPLICATE_OPTIMISM")
"""Checks of the choice's out-of-fold predictions."""


@dataclass(frozen=True)
class Improvement:
    """The chosen model against a baseline, paired by fold; `share` is the gain over the baseline's score."""

    baseline: str
    score: float
    gain: float
    interval: Interval
    share: float
    p_value: float


@dataclass(frozen=True)
class Validation:
    """Everything `validate` found out. Scores are in the metric's own direction.

    Attributes
    ----------
    cv_interval : (float, float) or None
        95 %, for the score on new rows, as many as a fold has (the next block where time orders them); None with one fold. Once
        the sealed rows were read, they count as one block more under time order; else its better end reaches as far as theirs.
    holdout : Holdout or None
        The reading of the sealed rows by this choice; None where there is none or where another choice made it, and
        `holdout_note` says so.
    model_rows : str
        Which rows the saved model was fitted on.
    outcomes : tuple of CheckOutcome
        One per check, also those that could not be computed.
    oof_approximate : bool
        What looked at out-of-fold predictions saw those of a strategy that learnt more than shares on the same rows.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    strategy: str
    choice: str
    cv_score: float
    cv_std: float
    cv_scores: tuple[float, ...]
    cv_interval: Interval | None
    holdout: Holdout | None
    holdout_note: str
    improvements: tuple[Improvement, ...]
    examination: Examination | None
    speed: Speed | None
    reload: Reload | None
    peak_memory_mb: float | None
    model_rows: str
    gates: tuple[GateResult, ...]
    outcomes: tuple[CheckOutcome, ...]
    notes: tuple[str, ...]
    oof_approximate: bool

    @property
    def findings(self) -> list[Finding]:
        """All findings, critical first."""
        return by_severity([finding for outcome in self.outcomes for finding in outcome.findings])

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping."""
        return asdict(self)


def validate(
    experiment: Experiment,
    gates: Sequence[str] | Mapping[str, float | None] | None = None,
    checks: Sequence[str] | None = None,
) -> Validation:
    """Validate the chosen model, save it, and record the outcome.

    Parameters
    ----------
    gates : sequence of str or mapping, optional
        Changed thresholds, see `choose_gates`.
    checks : sequence of str, optional
        Codes of the checks to run; default: all.

    Raises
    ------
    InvalidInput, NotFound
        A gate or check of that name does not exist, or nothing has a score yet.
    """
    chosen_gates = choose_gates(gates, experiment.limits, experiment.resources.memory_mb)
    choice = chosen(experiment)
    experiment.evaluator.forget_folds()
    whole = experiment.deadline
    reserve_s = min(_REPORT_S, _REPORT_SHARE * whole.remaining())
    experiment.deadline = whole.at_most(whole.remaining() - reserve_s)
    try:
        validation = _Inspection(experiment, choice).run(chosen_gates, checks)
    finally:
        experiment.deadline = whole
    experiment.record("validation", validation.to_json())
    return validation


class _Inspection:
    """One pass of validation over a choice; keeps what was measured so far."""

    def __init__(self, experiment: Experiment, choice: Chosen) -> None:
        self.experiment = experiment
        self.choice = choice
        self.fits = FinalFits(experiment, choice)
        self.recorded: Holdout | None = recorded_holdout(experiment)
        self.holdout_note = "no rows were sealed"

    @property
    def holdout(self) -> Holdout | None:
        """The reading of the sealed rows by this very choice."""
        return self.recorded if self.recorded is not None and self.recorded.belongs_to(self.choice) else None

    def run(self, gates: Sequence[Gate], checks: Sequence[str] | None) -> Validation:
        experiment, choice = self.experiment, self.choice
        noise = self._noise_of_a_fold()
        self._tell("fitting the model on development rows", 0)
        self._fit_and_read()
        self._tell("checking the data", 1)
        outcomes = run_checks(experiment, "data", checks)
        rows = experiment.dataset.frame.iloc[sample(experiment.split.development, _TRIED_ROWS, experiment.seed)]
        self._tell("fitting the model on all rows", 2)
        self.fits.on_all_rows(self.holdout)
        model, deadline, notes = self.fits.model, experiment.deadline, self.fits.notes
        speed = measure_speed(model, rows, deadline) if model else NotApplicable("no model was fitted")
        self._tell("checking the model", 3)
        outcomes += [self._labelled(outcome) for outcome in run_checks(experiment, "model", checks)]
        examination = examine_fold(experiment, choice)
        reload: Reload | NotApplicable = NotApplicable("no model was fitted")
        if model is not None:
            reload = check_reload(model, experiment.run.model_path, rows, deadline)
        if isinstance(reload, Reload) and reload.problem is not None:
            notes.append(f"the saved model could not be used after loading: {reload.problem}")
        memory = peak_memory_mb()
        improvements = self._improvements()
        values = self._values(outcomes, improvements, examination, speed, reload, memory)
        results = judge(gates, values)
        verdict, reasons = _verdict(results, self.fits.shortfall())
        scores = np.asarray(choice.scores)
        return Validation(
            verdict, reasons, choice.strategy, choice_key(choice), choice.mean,
            float(scores.std(ddof=1)) if len(scores) > 1 else 0.0, choice.scores,
            self._cv_interval(noise),
            self.holdout, self.holdout_note, improvements, _known(examination), _known(speed), _known(reload),
            _known(memory), self.fits.rows, results, tuple(outcomes), tuple(notes), choice.weights is None,
        )  # fmt: skip

    def _cv_interval(self, noise: float) -> Interval | None:
        """Of the score on new rows. The sealed rows, once read, are one block more where time orders the rows. Elsewhere the model
        they were read with saw more rows than the folds' models did: the better end is not short of their interval's."""
        choice, metric, known = self.choice, self.experiment.task.metric, list(self.choice.scores)
        if self.experiment.split.kind == "time":
            if self.holdout is not None:
                known.append(self.holdout.score)
            return interval_of_next(choice.mean, known, metric)
        found = interval_of_next(choice.mean, known, metric, noise)
        if found is None or self.holdout is None or self.holdout.interval is None:
            return found
        (low, high), sealed = found, self.holdout.interval
        return (low, max(high, sealed[1])) if metric.greater_is_better else (min(low, sealed[0]), high)

    def _noise_of_a_fold(self) -> float:
        """0 where it cannot be told, as an estimate must not take the validation with it, and under time order, where nobody asks:
        blocks differ by more than the draw of their rows."""
        if self.experiment.split.kind == "time":
            return 0.0
        try:
            oof = out_of_fold(self.experiment, self.choice)
            return noise_of_a_fold(self.experiment, oof[self.experiment.evaluator.covered])
        except Cancelled:
            raise
        except Exception:
            log.warning("the noise of a fold could not be told", exc_info=True)
            return 0.0

    def _tell(self, message: str, done: int) -> None:
        self.experiment.progress("validation", message, done, 4, self.choice.mean)

    def _labelled(self, outcome: CheckOutcome) -> CheckOutcome:
        """Say it where a finding rests on predictions of a strategy that learnt more than shares on the same rows."""
        if self.choice.weights is not None or outcome.code not in _FROM_OOF:
            return outcome
        label = f"approximate: {self.choice.strategy} learnt on these rows how to combine its members"
        findings = [replace(finding, evidence=f"{finding.evidence} ({label})") for finding in outcome.findings]
        return replace(outcome, findings=tuple(findings))

    def _fit_and_read(self) -> None:
        """Fit on development rows and read the holdout; without an unread holdout, fit on all rows at once."""
        split = self.experiment.split
        if self.recorded is not None:
            self.holdout_note = (
                "read by an earlier validate for this same choice; the recorded score is repeated, nothing was read again"
                if self.holdout is not None
                else "read earlier for another choice; it says nothing about the present one, and a holdout is read only once"
            )
        if self.recorded is not None or len(split.holdout) == 0:
            return
        self.fits.on(split.development, "development rows")
        if self.fits.model is None or not self.fits.complete:
            # The score of a part would be recorded as that of the whole: the seal stays until there is time for all members.
            self.holdout_note = NO_TIME
            return
        reading = self._read(self.fits.model)
        if isinstance(reading, NotApplicable):
            self.holdout_note = reading.reason
        else:
            self.recorded, self.holdout_note = reading, f"read now, once, with the model fitted on {self.fits.rows}"

    def _read(self, model: FinalModel) -> Holdout | NotApplicable:
        """Read the holdout; a model that does not predict its rows must not take the rest of the validation with it."""
        try:
            return read_holdout(self.experiment, self.choice, model, self.experiment.deadline)
        except Cancelled:
            raise
        except DeadlinePassed:
            return NotApplicable(NO_TIME)
        except Exception as error:
            log.warning("the holdout could not be read", exc_info=True)
            return NotApplicable(f"it could not be read ({type(error).__name__}: {str(error)[:120]})")

    def _improvements(self) -> tuple[Improvement, ...]:
        """Against the dummy, and against the best linear model."""
        board = leaderboard(self.experiment)
        references = [next((row for row in board if row.family == family), None) for family in ("dummy", "linear")]
        return tuple(self._improvement(row) for row in references if row is not None)

    def _improvement(self, baseline: Ranked) -> Improvement:
        metric, ratio = self.experiment.task.metric, self.experiment.evaluator.test_train_ratio
        old = baseline.evaluation.scores[: len(self.choice.scores)]
        found = paired_comparison(self.choice.scores, old, metric, ratio)
        reference = float(np.mean(old))
        # A dummy's R² or F1 is about zero; the gain is then a share of the new score instead.
        is_nothing = metric.greater_is_better and reference <= _NOTHING * abs(self.choice.mean)
        scale = abs(self.choice.mean) if is_nothing else max(abs(reference), 0.01 * abs(self.choice.mean))
        share = found.mean_gain / scale if scale > 0 else 0.0
        name = baseline.evaluation.solution.model.component
        return Improvement(name, reference, found.mean_gain, found.interval, share, found.p_value)

    def _values(
        self,
        outcomes: Sequence[CheckOutcome],
        improvements: Sequence[Improvement],
        examination: Examination | NotApplicable,
        speed: Speed | NotApplicable,
        reload: Reload | NotApplicable,
        memory: float | NotApplicable,
    ) -> dict[str, float | str]:
        """What each gate looks at: a number, or why there is none."""
        mean, scores = self.choice.mean, np.asarray(self.choice.scores)
        dummy = improvements[0] if improvements and improvements[0].baseline == "dummy" else None
        late = [outcome.code for outcome in outcomes if outcome.not_applicable == NO_TIME]
        broken = [outcome.code for outcome in outcomes if (outcome.not_applicable or "").startswith(BROKEN)]
        # A check that says nothing has found nothing, which is not the same as nothing being there.
        missing = NO_TIME if late else f"{', '.join(broken)} could not be computed; see the run's log" if broken else ""
        critical = sum(finding.severity == "critical" for outcome in outcomes for finding in outcome.findings)
        gap = examination if isinstance(examination, NotApplicable) else examination.judged_gap
        values: dict[str, float | str] = {
            "improvement": dummy.share if dummy else "the dummy has no score",
            "p_value": dummy.p_value if dummy else "the dummy has no score",
            "fold_std": "needs two folds and a mean other than 0",
            "holdout_gap": self.holdout_note,
            "critical_findings": missing if missing and not critical else float(critical),
            "train_gap": gap.reason if isinstance(gap, NotApplicable) else gap,
            "fairness": "no sensitive column is named",
            "latency": speed.reason if isinstance(speed, NotApplicable) else speed.single_row_p95_ms,
            "size": saved_mb(self.experiment.run.model_path) if self.fits.model else "no model was fitted",
            "memory": memory.reason if isinstance(memory, NotApplicable) else memory,
            "reload": reload.reason if isinstance(reload, NotApplicable) else float(reload.changed),
        }
        if len(scores) > 1 and mean != 0.0:
            values["fold_std"] = float(scores.std(ddof=1) / abs(mean))
        if self.holdout is not None and mean != 0.0:
            # A better score is a lucky draw of rows, not a promise that was not kept.
            values["holdout_gap"] = max(0.0, self.experiment.task.metric.gain(mean, self.holdout.score)) / abs(mean)
        return values


def _known(value: Any) -> Any:
    return None if isinstance(value, NotApplicable) else value


def _verdict(results: Sequence[GateResult], shortfall: list[str]) -> tuple[Verdict, tuple[str, ...]]:
    """READY only where no gate failed, none was left out for want of time, and the saved model is the validated one."""
    reasons = shortfall + [result.describe() for result in results if result.status == "failed"]
    late = [result.gate.key for result in results if result.status == "not applicable" and result.note == NO_TIME]
    if late:
        reasons.append(f"not measured for want of time: {', '.join(late)}; validate again with a larger time budget")
    if reasons:
        return "NOT READY", tuple(reasons)
    passed = sum(result.status == "passed" for result in results)
    skipped = sum(result.status == "not applicable" for result in results)
    return "READY", (f"all {passed} gates that could be computed are passed; {skipped} do not apply here",)
