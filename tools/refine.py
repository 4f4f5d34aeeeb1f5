"""refine: the targeted search, one block after the other, keeping only what beats the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from .contract import JobRequest, Report, Tool, call

if TYPE_CHECKING:
    from ..engine.experiment import Experiment
    from ..engine.shape import DataShape
    from ..engine.solution import Block

Scalar = str | int | float | bool | None


class PlanRequest(BaseModel):
    """One plan of the coordinator: a component for the block's slot, with parameters."""

    component: Annotated[str, Field(max_length=60)]
    params: dict[str, Scalar] = Field(default_factory=dict)


class RefineRequest(JobRequest):
    """Arguments of `refine`."""

    block: Annotated[
        str | None,
        Field(
            max_length=80, description="Block or slot, e.g. encode.onehot or features; default: the ablation's choice."
        ),
    ] = None
    plan: Annotated[
        tuple[PlanRequest, ...],
        Field(max_length=16, description="Your own plans for this block, tried first; needs `block`."),
    ] = ()
    iterations: Annotated[
        int, Field(ge=1, le=32, description="Blocks to take per solution (outer loop), 4 plans each.")
    ] = 4


class PlanRow(BaseModel):
    """A plan and its score on the run's folds."""

    block: str
    plan: str
    source: str
    score: float | None
    gain: float | None
    kept: bool
    failure: str | None = None


class RefineReport(Report):
    """What was tried and what was kept."""

    metric: str = ""
    before: float | None = None
    after: float | None = None
    kept: list[str] = Field(default_factory=list)
    not_kept: list[str] = Field(default_factory=list)
    plans: list[PlanRow] = Field(default_factory=list)

    def digest(self) -> str:
        """Decisions for the window."""
        return "\n".join([self.summary, *(f"- {line}" for line in [*self.kept, *self.not_kept])])


_SHOWN = 16


def work(request: RefineRequest, experiment: Experiment) -> RefineReport:
    """Refine within the budget."""
    from ..engine.refinement import refine
    from .research import ranked_suggestions

    asked = _asked(request, experiment.shape)
    research, metric = ranked_suggestions(experiment.run), experiment.task.metric
    result = refine(
        experiment,
        experiment.deadline,
        request.block,
        asked,
        outer=request.iterations,
        inner=max(4, len(asked)),
        research=research,
    )
    if experiment.refined is not None:
        result = experiment.refined.followed_by(result, metric)
    experiment.refined = result
    plans = [
        PlanRow(
            block=step.block,
            plan=plan.text,
            source=plan.source,
            score=None if plan.score is None else round(plan.score, 6),
            gain=None if plan.gain is None else float(f"{plan.gain:.4g}"),
            kept=plan.kept,
            failure=plan.failure,
        )
        for step in result.steps
        for plan in step.plans
    ]
    not_kept = [f"{step.block} of {step.learner}: {step.reason}" for step in result.steps if not step.accepted]
    kept = [f"{step.block} of {step.learner}: {step.reason}" for step in result.steps if step.accepted]
    return RefineReport(
        summary=(
            f"{result.solution.model.component}: {metric.title} {result.before:.5g} → {result.after:.5g}. {len(kept)} of "
            f"{len(result.steps)} steps kept a change, {len(plans)} plans tried; {result.ended}."
        ),
        next=call("build_ensemble", experiment.run.run_id)
        + ("" if len(result.steps) else "; nothing was left to refine"),
        metric=metric.key,
        before=round(result.before, 6),
        after=round(result.after, 6),
        kept=kept if request.detail == "full" else _newest(kept),
        not_kept=not_kept if request.detail == "full" else _newest(not_kept),
        plans=plans if request.detail == "full" else plans[-_SHOWN:],
    )


def _newest(lines: list[str]) -> list[str]:
    """The newest lines, and how many there were before them."""
    left_out = len(lines) - _SHOWN
    return lines if left_out <= 0 else [f"({left_out} earlier ones)", *lines[-_SHOWN:]]


def refuse(request: RefineRequest, experiment: Experiment) -> None:
    """Refuse plans that name no component or parameter."""
    _asked(request, experiment.shape)


def _asked(request: RefineRequest, shape: DataShape) -> list[Block]:
    """The plans as blocks; raises before any time is spent. What a learner's parameters are depends on the table's shape."""
    from ..engine import registry
    from ..engine.errors import InvalidInput
    from ..engine.solution import SLOTS, Block

    if not request.plan:
        return []
    slot = next((slot for slot in SLOTS if request.block and request.block.split(".")[0] == slot), None)
    if slot is None:
        raise InvalidInput(f"plan needs block to start with one of {', '.join(SLOTS)}, got {request.block!r}")
    for plan in request.plan:
        if slot != "model":
            known = registry.component(slot, plan.component).defaults
        elif (model := registry.model(plan.component)).open_params:
            continue
        else:
            known = model.defaults(shape)
        if unknown := [name for name in plan.params if name not in known]:
            accepted = f"accepted: {', '.join(known)}" if known else "it has none"
            raise InvalidInput(f"{slot}.{plan.component} has no parameter {', '.join(map(repr, unknown))}; {accepted}")
    return [Block.of(slot, plan.component, plan.params) for plan in request.plan]


TOOL = Tool(
    name="refine",
    title="Refine the best solution",
    description=(
        "Takes the block with most impact, tries plans on it (yours, research, untried components, tuned parameters) and keeps the "
        "best only if it beats the noise of paired folds. Takes its time budget. Next: build_ensemble."
    ),
    request=RefineRequest,
    report=RefineReport,
    work=work,
    refuse=refuse,
    after=("build_baselines", "run_ablation"),
    window=5,
    share=0.2,
    idempotent=False,
)
