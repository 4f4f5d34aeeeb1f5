"""profile_dataset: open a run on a table and say what is in it, what is asked, and how it will be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment

TaskName = Literal["auto", "binary", "multiclass", "regression"]
MetricName = Literal[
    "auto", "roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "f1_macro", "average_precision", "brier",
    "rmse", "mae", "r2", "mape", "rmsle",
]  # fmt: skip


class ProfileRequest(JobRequest):
    """Arguments of `profile_dataset`."""

    run_id: Annotated[None, Field(description="Leave out: this tool opens a new run.")] = None
    path: Annotated[str, Field(min_length=1, max_length=4096, description="Table: CSV, Parquet, Feather or Excel.")]
    target: Annotated[str, Field(min_length=1, max_length=500, description="Column to predict.")]
    task: Annotated[TaskName, Field(description="auto: inferred from the target.")] = "auto"
    metric: Annotated[
        MetricName, Field(description="auto: roc_auc (binary), log_loss (multiclass), rmse (regression).")
    ] = "auto"
    time_column: Annotated[
        str | None,
        Field(
            description="Column that orders the rows in time: later rows are predicted from earlier ones. none: never by time."
        ),
    ] = None
    group_column: Annotated[
        str | None,
        Field(description="Column whose values (patients, shops) stay in one fold. none: known ones will come again."),
    ] = None
    id_columns: Annotated[tuple[str, ...], Field(max_length=100, description="Columns that only name a row.")] = ()
    holdout: Annotated[
        str, Field(pattern=r"^(auto|none|0?\.\d+)$", description="auto, none, or the sealed share of rows, e.g. 0.2.")
    ] = "auto"
    max_latency_ms: Annotated[
        float | None,
        Field(gt=0, le=1e6, description="Choose only models that predict one row in this time."),
    ] = None
    max_model_mb: Annotated[
        float | None, Field(gt=0, le=1e6, description="Choose only models whose files are this small.")
    ] = None
    name: Annotated[str | None, Field(max_length=40, description="Short name for the run; default: the file's.")] = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class ProfileReport(Report):
    """What the table is and how solutions will be scored on it."""

    task: str = ""
    metric: str = ""
    rows: int = 0
    columns: dict[str, int] = Field(default_factory=dict, description="Number of feature columns per role.")
    target: dict[str, Any] = Field(default_factory=dict)
    split: str = ""
    holdout_rows: int = 0
    issues: list[str] = Field(default_factory=list)
    details: dict[str, Any] = Field(default_factory=dict, description="With detail=full: every column.")

    def digest(self) -> str:
        """Scope and data for the windows."""
        counts = ", ".join(f"{count} {role}" for role, count in self.columns.items())
        lines = [self.summary, f"Split: {self.split}", f"Columns: {counts}.", f"Target: {self.target}"]
        return "\n".join(lines + [f"- {issue}" for issue in self.issues[:20]])


_ISSUES_SHOWN = 12


def work(request: ProfileRequest, experiment: Experiment) -> ProfileReport:
    """Report the profile that was recorded when the run was opened."""
    described = experiment.profile
    issues = [issue.message for issue in experiment.dataset.issues]
    split, task, run_id = experiment.split, experiment.task, experiment.run.run_id
    shown = issues if request.detail == "full" else issues[:_ISSUES_SHOWN]
    if len(issues) > len(shown):
        shown = [*shown, f"{len(issues) - len(shown)} more; detail=full lists them"]
    roles: dict[str, int] = {}
    for role in experiment.dataset.feature_roles.values():
        roles[role.value] = roles.get(role.value, 0) + 1
    return ProfileReport(
        summary=(
            f"{task.kind} task on {experiment.dataset.n_rows:,} rows, scored by {task.metric.title} on a {split.kind} split"
            + (f"; {len(split.holdout):,} rows are sealed as holdout." if len(split.holdout) else "; no holdout.")
        ),
        next=f"{call('search_sota', run_id)}, then {call('build_baselines', run_id)}",
        task=task.kind,
        metric=task.metric.key,
        rows=experiment.dataset.n_rows,
        columns=roles,
        target=described.get("target", {}),
        split=f"{split.kind}: {split.reason}",
        holdout_rows=len(split.holdout),
        issues=shown,
        details=described if request.detail == "full" else {},
    )


TOOL = Tool(
    name="profile_dataset",
    title="Profile a dataset",
    description=(
        "Start here. Reads a table, infers task, metric, column roles and the honest split (random, groups, time), seals a "
        "holdout, lists data issues and opens a run. Seconds. Next: search_sota, build_baselines."
    ),
    request=ProfileRequest,
    report=ProfileReport,
    work=work,
    window=2,
    share=0.04,
)
