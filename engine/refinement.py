"""Targeted refinement (MLE-STAR §3.2, Algorithm 2): the outer loop takes one block after the other, the inner loop tries plans on
the ORIGINAL block, and the best plan is kept only if it is better by more than the noise of paired fold differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from .ablation import Impact, block_order
from .compare import Comparison
from .deadline import Deadline
from .errors import InvalidInput
from .evaluation import Evaluation
from .experiment import Experiment
from .leaderboard import contenders, judge_change, starting_point
from .plans import Plan, plans_for
from .solution import SLOTS, Block, Slot, Solution, Suggestion
from .task import Metric

_LATE_AT_MOST = 2

_GROWING: tuple[Slot, ...] = ("features", "encode", "target", "post", "select")
"""Slots that may be filled where the solution has nothing in them."""


@dataclass(frozen=True)
class TriedPlan:
    """A plan and what it scored; `score` is None after a failure, whose reason is in `failure`."""

    source: str
    text: str
    key: str
    score: float | None
    gain: float | None
    seconds: float
    kept: bool
    failure: str | None

    @property
    def late(self) -> bool:
        """It was not scored because the time did not allow it."""
        return self.failure is not None and self.failure.startswith("timeout")


@dataclass(frozen=True)
class Step:
    """One pass of the outer loop."""

    block: str
    learner: str
    before: float
    after: float
    accepted: bool
    reason: str
    plans: tuple[TriedPlan, ...]


@dataclass(frozen=True)
class Refinement:
    """What was tried, what was kept, and why the loop ended."""

    steps: tuple[Step, ...]
    solution: Solution
    before: float
    after: float
    ended: str

    def followed_by(self, later: Refinement, metric: Metric) -> Refinement:
        """Both rounds as one; the later one may have begun at a quicker solution than the earlier one ended at."""
        better = later if metric.better(later.after, self.after) else self
        return Refinement(self.steps + later.steps, better.solution, self.before, better.after, later.ended)


def refine(
    experiment: Experiment,
    deadline: Deadline,
    block: str | None = None,
    asked: Sequence[Block] = (),
    outer: int = 4,
    inner: int = 4,
    research: Sequence[Suggestion] = (),
) -> Refinement:
    """Improve the best solution, or a quicker one that is about as good, block by block; with time left, then the best solution of
    the next learner, and so on: an ensemble lives on solutions found independently (the paper takes two).

    Parameters
    ----------
    block : str, optional
        Only this block or slot (`encode`, `model.lightgbm`) of the first solution; by default the ablation's order.
    asked : sequence of Block
        The coordinator's own plans, tried first.
    outer, inner : int
        Blocks to take per solution, and plans per block.
    research : sequence of Suggestion
        Ranked by the research stage, tried before untried components.
    """
    path = _Path(experiment, deadline, outer, inner, research)
    start = starting_point(experiment).evaluation
    end, ended = path.walk(start, block, asked)
    steps = list(path.steps)
    taken = {start.solution.model.component, end.solution.model.component}
    while block is None and not deadline.passed and (other := _other_learner(experiment, taken)) is not None:
        path.steps.clear()
        _, ended = path.walk(other, None, ())
        steps += path.steps
        taken.add(other.solution.model.component)
    return Refinement(tuple(steps), end.solution, start.mean, end.mean, ended)


def _other_learner(experiment: Experiment, taken: set[str]) -> Evaluation | None:
    """The best solution whose learner is none of these."""
    for ranked in contenders(experiment):
        if ranked.evaluation.solution.model.component not in taken:
            return ranked.evaluation
    return None


@dataclass
class _Path:
    """The outer loop over one solution after another; remembers which blocks were refined in this run."""

    experiment: Experiment
    deadline: Deadline
    outer: int
    inner: int
    research: Sequence[Suggestion]
    steps: list[Step] = field(default_factory=list)

    def walk(self, current: Evaluation, block: str | None, asked: Sequence[Block]) -> tuple[Evaluation, str]:
        """Take up to `outer` blocks; returns where it ended and why."""
        experiment = self.experiment
        refined = refined_blocks(experiment)
        exhausted: set[str] = set()
        ended = "nothing left to try"
        while len(self.steps) < self.outer:
            if self.deadline.passed:
                return current, "time budget used"
            target = _target(experiment, current.solution, block, refined, exhausted)
            if target is None:
                return current, ended
            mine = asked if not self.steps else ()
            plans = plans_for(experiment, current.solution, target, mine, self.research, self.inner)
            step, current = _step(
                experiment, self.deadline, current, target, plans, (len(self.steps), self.outer, self.inner)
            )
            refined.append(target.name)
            if not step.plans:
                exhausted.add(target.name)
                continue
            if all(plan.late for plan in step.plans):
                # Those for another block may be quicker.
                exhausted.add(target.name)
                ended = "what is left to try takes more time than there is"
                continue
            self.steps.append(step)
            experiment.record("refinement", {**asdict(step), "solution": current.solution.to_json()})
        return current, f"{self.outer} blocks taken"


def refined_blocks(experiment: Experiment) -> list[str]:
    """Names of the blocks that were refined in this run, in order."""
    return [entry.body["block"] for entry in experiment.run.journal.read("refinement")]


def _target(
    experiment: Experiment, solution: Solution, name: str | None, refined: Sequence[str], exhausted: set[str]
) -> Block | None:
    """The block to refine in this step; None where no block has a plan left."""
    if name is not None:
        for block in solution.blocks:
            if name in (block.name, block.slot):
                return None if block.name in exhausted else block
        if name in SLOTS:
            # An empty slot can be refined too: every plan adds to it.
            return None if name in exhausted else Block.of(next(slot for slot in SLOTS if slot == name), "")
        accepted = ", ".join([block.name for block in solution.blocks] + list(SLOTS))
        raise InvalidInput(f"no block is called {name!r}; accepted: {accepted}")
    entry = experiment.run.journal.last("ablation")
    rows = [Impact(**{**row, "interval": tuple(row["interval"])}) for row in entry.body["rows"]] if entry else []
    # Empty slots are blocks too: features that nobody built yet are often what is missing.
    empty = [slot for slot in _GROWING if all(block.slot != slot for block in solution.blocks)]
    blocks = [*solution.blocks, *(Block.of(slot, "") for slot in empty)]
    left = [block for block in blocks if block.name not in exhausted]
    for chosen in block_order(rows, [block.name for block in left], refined):
        return next(block for block in left if block.name == chosen)
    return None


def _step(
    experiment: Experiment,
    deadline: Deadline,
    current: Evaluation,
    target: Block,
    plans: Iterator[Plan],
    position: tuple[int, int, int],
) -> tuple[Step, Evaluation]:
    """Inner loop: score up to `inner` plans on the original block, then accept the best of them or none."""
    number, outer, inner = position
    metric = experiment.task.metric
    tried: list[tuple[Plan, Evaluation]] = []
    for plan in plans:
        late = sum(evaluation.failure is not None and evaluation.failure.kind == "timeout" for _, evaluation in tried)
        if len(tried) >= inner or deadline.passed or late >= _LATE_AT_MOST:
            break
        evaluation = experiment.evaluator.evaluate(plan.solution, deadline, origin="refinement")
        tried.append((plan, evaluation))
        message = f"{target.name}: {plan.text}"
        experiment.progress("refinement", message, number * inner + len(tried), outer * inner, current.mean)
    scored = [(plan, evaluation) for plan, evaluation in tried if evaluation.failure is None]
    winner: Evaluation | None = None
    reason = "no plan could be scored"
    if scored:
        plan, best = max(scored, key=lambda pair: metric.gain(pair[1].mean, current.mean))
        comparison, better = judge_change(experiment, best, current)
        winner = best if better else None
        reason = _reason(plan, comparison, winner is not None)
    rows = tuple(
        TriedPlan(
            plan.source, plan.text, plan.solution.key,
            evaluation.mean if evaluation.failure is None else None,
            metric.gain(evaluation.mean, current.mean) if evaluation.failure is None else None,
            evaluation.seconds, evaluation is winner,
            f"{evaluation.failure.kind}: {evaluation.failure.message}" if evaluation.failure else None,
        )
        for plan, evaluation in tried
    )  # fmt: skip
    after = winner or current
    return Step(
        target.name, current.solution.model.component, current.mean, after.mean, winner is not None, reason, rows
    ), after


def _reason(plan: Plan, comparison: Comparison, accepted: bool) -> str:
    gain = f"{comparison.mean_gain:+.4g} ± {comparison.standard_error:.2g}"
    if accepted:
        return f"kept {plan.text}: {gain}, beyond one standard error of the paired folds"
    if comparison.mean_gain <= 0:
        return f"no plan was better; the best, {plan.text}, gave {gain}"
    return f"not kept: the best, {plan.text}, gave {gain}, within the noise of the folds"
