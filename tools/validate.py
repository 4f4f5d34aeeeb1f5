"""validate: is the chosen model good, certain and safe enough to use? Saves the final model and writes the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment
    from ..engine.gates import GateResult
    from ..engine.validation import Validation

_FINDINGS_SHOWN = 6
_TEXT_SHOWN = 160


class ValidateRequest(JobRequest):
    """Arguments of `validate`."""

    gates: Annotated[
        list[str] | None,
        Field(
            max_length=20,
            description="Changed thresholds as name=number or name=off, e.g. latency=50, train_gap=off. Names: improvement, "
            "p_value, fold_std, holdout_gap, critical_findings, train_gap, reload, fairness, latency, memory. Shares: 0.05 is 5 %.",
        ),
    ] = None
    checks: Annotated[
        list[str] | None,
        Field(max_length=40, description="Codes of checks to run, e.g. LEAK_TARGET_COPY; default: all."),
    ] = None


class GateRow(BaseModel):
    """A gate's outcome."""

    name: str
    status: Literal["passed", "failed", "not applicable"]
    value: float | None
    threshold: float | None
    note: str = Field(description="Value against threshold in words, or why there is none.")


class FindingRow(BaseModel):
    """What a check found."""

    code: str
    severity: Literal["info", "warning", "critical"]
    title: str
    evidence: str
    action: str


class ValidateReport(Report):
    """The verdict with its evidence."""

    verdict: Literal["", "READY", "NOT READY"] = ""
    reasons: list[str] = Field(default_factory=list)
    metric: str = ""
    cross_validation: float | None = None
    cross_validation_interval: tuple[float, float] | None = Field(
        default=None,
        description="95 %, for the score on new rows; its better end is not short of the holdout interval's.",
    )
    holdout: float | None = Field(default=None, description="Sealed rows, read once in the life of a run.")
    holdout_interval: tuple[float, float] | None = None
    holdout_note: str = ""
    strategy: str = ""
    gates: list[GateRow] = Field(default_factory=list)
    findings: list[FindingRow] = Field(default_factory=list, description="Critical first; brief shows six.")
    checks_not_applicable: list[str] = Field(default_factory=list)
    single_row_ms: float | None = Field(default=None, description="95th percentile, warm.")
    rows_per_s: float | None = None
    peak_memory_mb: float | None = None
    model_rows: str = Field(default="", description="Rows the saved model was fitted on.")
    model: str = ""
    report_html: str = ""
    report_json: str = ""
    leaderboard_csv: str = ""
    plots: list[str] = Field(default_factory=list, description="Names: mlestar://runs/{run_id}/plots/{name}.png.")

    def digest(self) -> str:
        """Verdict, failed gates and findings for the window."""
        gates = [f"- gate {row.name}: {row.status}, {row.note}" for row in self.gates if row.status == "failed"]
        found = [f"- {row.severity} {row.code}: {row.title}" for row in self.findings if row.severity != "info"]
        return "\n".join([self.summary, *gates, *found])


def refuse(request: ValidateRequest, experiment: Experiment) -> None:  # noqa: ARG001
    """Refuse unknown gates and checks."""
    from ..engine.checking import require_checks
    from ..engine.gates import choose_gates

    choose_gates(request.gates)
    require_checks(request.checks)


def work(request: ValidateRequest, experiment: Experiment) -> ValidateReport:
    """Validate the chosen model and write the report."""
    from ..engine.report import write_report
    from ..engine.validation import validate

    validation = validate(experiment, request.gates, request.checks)
    files = write_report(experiment, validation)
    metric = experiment.task.metric
    full = request.detail == "full"
    findings = validation.findings if full else validation.findings[:_FINDINGS_SHOWN]
    speed, holdout = validation.speed, validation.holdout
    saved = validation.model_rows != "none"
    return ValidateReport(
        summary=_summary(validation, metric.title),
        next=_next(validation, experiment.run.run_id),
        notes=list(validation.notes),
        verdict=validation.verdict,
        reasons=list(validation.reasons),
        metric=metric.key,
        cross_validation=_round(validation.cv_score),
        cross_validation_interval=_round_pair(validation.cv_interval),
        holdout=_round(holdout.score) if holdout else None,
        holdout_interval=_round_pair(holdout.interval) if holdout else None,
        holdout_note=validation.holdout_note,
        strategy=validation.strategy,
        gates=[_gate(result) for result in validation.gates],
        findings=[
            FindingRow(
                code=finding.code,
                severity=finding.severity,
                title=_cut(finding.title, full),
                evidence=_cut(finding.evidence, full),
                action=_cut(finding.action, full),
            )
            for finding in findings
        ],
        checks_not_applicable=[
            f"{outcome.code}: {_cut(outcome.not_applicable, full)}"
            for outcome in validation.outcomes
            if outcome.not_applicable is not None
        ],
        single_row_ms=round(speed.single_row_p95_ms, 1) if speed else None,
        rows_per_s=round(speed.rows_per_s) if speed else None,
        peak_memory_mb=round(validation.peak_memory_mb) if validation.peak_memory_mb else None,
        model_rows=validation.model_rows,
        model=str(experiment.run.model_path) if saved else "",
        report_html=str(files.html),
        report_json=str(files.json),
        leaderboard_csv=str(files.leaderboard),
        plots=list(files.plots),
    )


def _summary(validation: Validation, metric: str) -> str:
    score = f"{metric} {validation.cv_score:.5g} cross-validated"
    if validation.holdout is not None:
        score += f", {validation.holdout.score:.5g} on the sealed holdout"
    return f"{validation.verdict}: {score}. {'; '.join(validation.reasons)}."


def _next(validation: Validation, run_id: str) -> str:
    """What to do about the verdict."""
    if validation.verdict == "READY":
        return f"{call('get_run', run_id)} for the report, or mle-star predict with the model folder"
    if any(finding.severity == "critical" for finding in validation.findings):
        return "profile_dataset() again without the leaking columns (id_columns)"
    return (
        f"read the failed gates; {call('refine', run_id)} for a better model, or validate with gates=[…] if a threshold does not "
        "fit the use"
    )


def _gate(result: GateResult) -> GateRow:
    note = result.describe().partition(": ")[2] if result.status != "not applicable" else result.note
    value = None if result.value is None else float(f"{result.value:.4g}")
    return GateRow(name=result.gate.key, status=result.status, value=value, threshold=result.gate.threshold, note=note)


def _cut(text: Any, full: bool) -> str:
    text = str(text)
    return text if full or len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}…"


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def _round_pair(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (_round(interval[0]), _round(interval[1]))


TOOL = Tool(
    name="validate",
    title="Validate and save the model",
    description=(
        "Checks for leakage, reads the sealed holdout once, holds the model against production gates (READY / NOT READY with "
        "reasons), refits it on all rows if time allows, saves it and writes an HTML report. Seconds to minutes. Last step."
    ),
    request=ValidateRequest,
    report=ValidateReport,
    work=work,
    refuse=refuse,
    after=("build_ensemble",),
    window=7,
    share=0.15,
)
