"""build_baselines: the initial solutions, from the dummy to the simple average of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment


class BaselinesRequest(JobRequest):
    """Arguments of `build_baselines`."""

    learners: Annotated[
        list[str] | None,
        Field(
            max_length=30, description="Only these learners, e.g. lightgbm, catboost; default: all that fit the table."
        ),
    ] = None


class LeaderboardRow(BaseModel):
    """One solution on the run's folds."""

    rank: int
    solution: str
    stage: str
    score: float
    std: float
    seconds: float


class BaselinesReport(Report):
    """The leaderboard."""

    metric: str = ""
    leaderboard: list[LeaderboardRow] = Field(default_factory=list)
    simple_average: float | None = Field(default=None, description="Score of the merged average of the best solutions.")
    failed: list[str] = Field(default_factory=list)
    skipped: list[str] = Field(default_factory=list)

    def digest(self) -> str:
        """Leaderboard for the window."""
        rows = [f"{row.rank}. {row.solution}: {row.score:.5g} ± {row.std:.2g}" for row in self.leaderboard[:8]]
        return "\n".join([self.summary, *rows])


_ROWS_SHOWN = 10


def work(request: BaselinesRequest, experiment: Experiment) -> BaselinesReport:
    """Evaluate the initial solutions within the budget."""
    from ..engine.baselines import build_baselines
    from .research import ranked_suggestions

    result = build_baselines(experiment, experiment.deadline, request.learners, ranked_suggestions(experiment.run))
    rows = leaderboard_rows(experiment, None if request.detail == "full" else _ROWS_SHOWN)
    metric = experiment.task.metric
    best = rows[0]
    summary = f"Best: {best.solution}, {metric.title} {best.score:.5g} ± {best.std:.2g} over the folds."
    if (
        result.average is not None
        and len(result.average.members) > 1
        and metric.better(result.average.score, best.score)
    ):
        summary += f" The simple average of {len(result.average.members)} gives {result.average.score:.5g}."
    experiment.record("baselines", {"leaderboard": [row.model_dump() for row in rows]})
    return BaselinesReport(
        summary=summary,
        next=call("run_ablation", experiment.run.run_id),
        metric=metric.key,
        leaderboard=rows,
        simple_average=result.average.score if result.average else None,
        failed=[f"{key}: {why}" for key, why in result.failed],
        skipped=[f"{key}: {why}" for key, why in result.skipped],
    )


def leaderboard_rows(experiment: Experiment, at_most: int | None) -> list[LeaderboardRow]:
    """The leaderboard as report rows, best first; the dummy is always shown."""
    from ..engine.leaderboard import leaderboard

    rows = [
        LeaderboardRow(
            rank=number + 1,
            solution=ranked.evaluation.solution.describe(),
            stage=ranked.origin,
            score=round(ranked.evaluation.mean, 6),
            std=round(ranked.evaluation.std, 6),
            seconds=round(ranked.evaluation.seconds, 2),
        )
        for number, ranked in enumerate(leaderboard(experiment))
    ]
    shown = rows if at_most is None else rows[:at_most]
    return shown + [row for row in rows[len(shown) :] if row.stage == "dummy"]


TOOL = Tool(
    name="build_baselines",
    title="Build baselines",
    description=(
        "Scores initial solutions on the run's folds: dummy, simple and strong learners, research-informed pipelines, a simple "
        "average. Returns the leaderboard; takes its time budget. Next: run_ablation."
    ),
    request=BaselinesRequest,
    report=BaselinesReport,
    work=work,
    after=("profile_dataset",),
    window=4,
    share=0.55,
)
