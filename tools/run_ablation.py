"""run_ablation: what each block of the best solution is worth, and which one to refine next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment


class AblationRequest(JobRequest):
    """Arguments of `run_ablation`."""

    blocks: Annotated[
        list[str] | None,
        Field(max_length=20, description="Blocks or slots to study, e.g. encode.onehot or features; default: all."),
    ] = None


class ImpactRow(BaseModel):
    """One change of one block against the unchanged solution."""

    block: str
    change: str
    impact: float = Field(description="Score lost by the change; negative: the change is better.")
    interval: tuple[float, float]
    p_value: float
    level: str


class AblationReport(Report):
    """The ranking."""

    metric: str = ""
    impacts: list[ImpactRow] = Field(default_factory=list)
    next_block: str = ""
    left_out: list[str] = Field(default_factory=list)

    def digest(self) -> str:
        """Ranking for the window."""
        rows = [
            f"- {row.level} {row.block} → {row.change}: {row.impact:+.4g} (p {row.p_value:.2g})"
            for row in self.impacts[:10]
        ]
        return "\n".join([self.summary, *rows])


_ROWS_SHOWN = 14


def work(request: AblationRequest, experiment: Experiment) -> AblationReport:
    """Measure the blocks of the best solution."""
    from ..engine.ablation import run_ablation
    from ..engine.refinement import refined_blocks

    ablation = run_ablation(experiment, experiment.deadline, request.blocks, refined_blocks(experiment))
    rows = ablation.rows if request.detail == "full" else ablation.rows[:_ROWS_SHOWN]
    return AblationReport(
        summary=(
            f"Refine {ablation.next_block} next: {ablation.reason}. {len(ablation.rows)} changes of the best solution measured on "
            f"{ablation.n_rows:,} rows"
            + (f", folds repeated {ablation.repeats} times." if ablation.repeats > 1 else ".")
        ),
        next=call("refine", experiment.run.run_id, block=ablation.next_block),
        metric=experiment.task.metric.key,
        impacts=[
            ImpactRow(
                block=row.block,
                change=row.change,
                impact=float(f"{row.impact:.4g}"),
                interval=(float(f"{row.interval[0]:.4g}"), float(f"{row.interval[1]:.4g}")),
                p_value=float(f"{row.p_value:.3g}"),
                level=row.level,
            )
            for row in rows
        ],
        next_block=ablation.next_block,
        left_out=list(ablation.left_out[:5]),
    )


TOOL = Tool(
    name="run_ablation",
    title="Run an ablation",
    description=(
        "Replaces each block of the best solution by its neutral default and by alternatives on repeated folds; ranks impacts with "
        "intervals and corrected p values, and names the block to refine. Takes its time budget. Next: refine."
    ),
    request=AblationRequest,
    report=AblationReport,
    work=work,
    after=("build_baselines",),
    window=4,
    share=0.07,
)
