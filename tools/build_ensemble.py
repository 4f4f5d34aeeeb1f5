"""build_ensemble: combine out-of-fold predictions, and keep the ensemble unless the best single solution is clearly better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment


class EnsembleRequest(JobRequest):
    """Arguments of `build_ensemble`."""

    strategies: Annotated[
        list[str] | None,
        Field(
            max_length=12,
            description="blend, weights, mean, greedy, rank_mean, stack_linear, stack_boosted; default: all.",
        ),
    ] = None
    rounds: Annotated[int, Field(ge=1, le=20, description="At most so many strategies.")] = 7


class StrategyRow(BaseModel):
    """A strategy's cross-fitted score."""

    strategy: str
    score: float | None
    gain: float | None = Field(description="Over the best single solution.")
    members: int
    failure: str | None = None


class MemberRow(BaseModel):
    """A member that is used."""

    solution: str
    weight: float | None
    score: float


class EnsembleReport(Report):
    """The strategies and what is kept."""

    metric: str = ""
    kept: bool = False
    strategy: str = ""
    score: float | None = None
    best_single: float | None = Field(
        default=None,
        description="Cross-fitted score of picking the best single solution: what strategies are compared with.",
    )
    limits_cost: str | None = Field(default=None, description="What the run's limits cost in score.")
    strategies: list[StrategyRow] = Field(default_factory=list)
    members: list[MemberRow] = Field(default_factory=list)

    def digest(self) -> str:
        """Members for the window."""
        rows = [f"- {row.weight if row.weight is not None else ''} {row.solution}" for row in self.members[:8]]
        return "\n".join([self.summary, *rows])


def work(request: EnsembleRequest, experiment: Experiment) -> EnsembleReport:
    """Try the strategies."""
    from ..engine.ensembling import build_ensemble
    from ..engine.solution import Solution

    result = build_ensemble(experiment, experiment.deadline, request.strategies, request.rounds, experiment.combined)
    experiment.combined = result
    metric = experiment.task.metric
    summary = (
        f"Kept {result.strategy} of {len(result.members)}: {metric.title} {result.mean:.5g} cross-fitted, against "
        f"{result.best_single_cross_fitted:.5g} for picking the best single solution"
        f"{'.' if metric.better(result.mean, result.best_single_cross_fitted) else f': {result.reason}.'}"
        if result.kept
        else f"Kept the best single solution, {metric.title} {result.best_single:.5g}: {result.reason}."
    )
    limits_cost = None
    if result.without_limits is not None:
        limits_cost = (
            f"with {experiment.limits.describe()} {metric.title} {result.mean:.5g}; without limits {result.without_limits:.5g}, "
            f"a difference of {max(0.0, metric.gain(result.without_limits, result.mean)):.3g}"
        )
        summary += f" The limits' price: {limits_cost}."
    return EnsembleReport(
        summary=summary,
        next=call("validate", experiment.run.run_id),
        metric=metric.key,
        kept=result.kept,
        strategy=result.strategy,
        score=round(result.mean, 6),
        best_single=round(result.best_single_cross_fitted, 6),
        limits_cost=limits_cost,
        strategies=[
            StrategyRow(
                strategy=row.strategy,
                score=None if row.score is None else round(row.score, 6),
                gain=None if row.gain is None else float(f"{row.gain:.4g}"),
                members=row.members,
                failure=row.failure,
            )
            for row in result.tried
        ],
        members=[
            MemberRow(
                solution=Solution.from_json(member.solution).describe(),
                weight=None if member.weight is None else round(member.weight, 4),
                score=round(member.score, 6),
            )
            for member in sorted(result.members, key=lambda member: -(member.weight or 0.0))
        ],
    )


TOOL = Tool(
    name="build_ensemble",
    title="Build an ensemble",
    description=(
        "Combines out-of-fold predictions of all scored solutions by several strategies, each cross-fitted so its score is honest, "
        "and keeps the best unless the best single is clearly better. Seconds. Next: validate."
    ),
    request=EnsembleRequest,
    report=EnsembleReport,
    work=work,
    after=("build_baselines",),
    window=6,
    share=0.05,
)
