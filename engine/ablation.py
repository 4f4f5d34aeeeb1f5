"""Ablation (MLE-STAR §3.2): what each block of the best solution is worth, measured, and which block to refine next.

Every block is replaced by its neutral default and by alternatives; each change is compared with the unchanged solution on the
same repeated folds, and the p values are corrected for their number (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from .compare import Comparison, holm, paired_comparison
from .deadline import Deadline
from .defaults import alternatives, neutral_solutions, with_model
from .errors import DeadlinePassed, InvalidInput
from .evaluate import Evaluator
from .evaluation import Evaluation, FoldPlan, rough_seconds
from .experiment import Experiment
from .leaderboard import dummy_score, starting_point
from .solution import SLOTS, Block, Slot, Solution

Level = Literal["HIGH", "MEDIUM", "LOW"]

_REPEATS = 2
_ROW_STEPS = (2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
_ALTERNATIVES_PER_BLOCK = 2
_SIGNIFICANT = 0.05
_HIGH_SHARE = 0.05
_MEDIUM_SHARE = 0.005
_ATTENTION: tuple[Slot, ...] = ("model", "encode", "features", "target", "select", "post", "clean")


@dataclass(frozen=True)
class Impact:
    """One change of one block, paired with the unchanged solution.

    Attributes
    ----------
    impact : float
        Mean loss of score caused by the change, in the metric's units; positive: the block as it stands is better.
    impact_share : float or None
        The same as a share of what the solution gains over the dummy; None without a dummy score.
    interval : (float, float)
        95 % interval of `impact`, from the corrected resampled t statistic.
    p_value : float
        Two-sided, Holm-corrected over all changes of this ablation.
    """

    block: str
    change: str
    neutral: bool
    impact: float
    impact_share: float | None
    interval: tuple[float, float]
    p_value: float
    level: Level
    cost_s: float


@dataclass(frozen=True)
class Ablation:
    """The ranked impacts and the block to refine next."""

    solution: Solution
    score: float
    rows: tuple[Impact, ...]
    next_block: str
    reason: str
    n_rows: int
    repeats: int
    left_out: tuple[str, ...]


def run_ablation(
    experiment: Experiment, deadline: Deadline, blocks: Sequence[str] | None = None, refined: Sequence[str] = ()
) -> Ablation:
    """Measure the blocks of the starting point: the best solution, or a quicker one that is as good within the noise.

    Parameters
    ----------
    blocks : sequence of str, optional
        Names (`encode.onehot`) or slots to study; all by default. Raises `InvalidInput` for one the solution does not have.
    refined : sequence of str
        Blocks that were refined already; they come later in the choice of `next_block`.
    """
    best = starting_point(experiment).evaluation
    studied = _select(best.solution, blocks)
    changes = _changes(experiment, best.solution, studied)
    plan = _plan(experiment, best, changes, deadline)
    evaluator = experiment.evaluator if plan == experiment.plan else Evaluator(experiment, plan)
    base = evaluator.evaluate(best.solution, deadline, origin="ablation")
    if base.failure is not None:
        raise DeadlinePassed(
            f"the ablation could not score the solution itself ({base.failure.message}); raise time_budget_s"
        )
    measured: list[tuple[Block, str, bool, Evaluation]] = []
    left_out: list[str] = []
    for number, (block, text, neutral, variant) in enumerate(changes):
        evaluation = evaluator.evaluate(variant, deadline, origin="ablation")
        if evaluation.failure is None:
            measured.append((block, text, neutral, evaluation))
        else:
            left_out.append(f"{block.name} → {text}: {evaluation.failure.message}")
        experiment.progress("ablation", f"{block.name} → {text}", number + 1, len(changes), best.mean)
    rows = _rank(experiment, evaluator, base, best.mean, measured)
    next_block, reason = _next_block(rows, studied, refined)
    ablation = Ablation(
        best.solution, base.mean, rows, next_block, reason, len(evaluator.covered), plan.repeats, tuple(left_out)
    )
    experiment.record("ablation", {**asdict(ablation), "solution": best.solution.to_json()})
    return ablation


def _select(solution: Solution, names: Sequence[str] | None) -> tuple[Block, ...]:
    if not names:
        return solution.blocks
    found = tuple(block for block in solution.blocks if block.name in names or block.slot in names)
    unknown = [name for name in names if all(name not in (block.name, block.slot) for block in solution.blocks)]
    if unknown:
        accepted = ", ".join(block.name for block in solution.blocks)
        raise InvalidInput(f"the best solution has no block {unknown[0]!r}; its blocks: {accepted}")
    return found


def _changes(
    experiment: Experiment, solution: Solution, studied: Sequence[Block]
) -> list[tuple[Block, str, bool, Solution]]:
    """All changes to measure: the neutral default of every block first, then alternatives in turn."""
    neutral, others = [], []
    for block in studied:
        if solution.model.component == "dummy":
            continue
        for variant in neutral_solutions(solution, block, experiment.shape):
            text = variant.model.component if block.slot == "model" else "removed"
            neutral.append((block, text, True, variant))
        known = {variant.key for _, _, _, variant in neutral}
        rows = []
        for other in alternatives(solution, block, experiment.shape):
            if block.slot == "model":
                variant = with_model(solution, other.component, experiment.shape)
            else:
                variant = solution.replace(block, other)
            if variant.key not in known:
                rows.append((block, other.component, False, variant))
        others.append(_most_promising(experiment, rows))
    in_turn = [row for turn in range(_ALTERNATIVES_PER_BLOCK) for rows in others for row in rows[turn : turn + 1]]
    return [*neutral, *in_turn]


def _most_promising(
    experiment: Experiment, rows: list[tuple[Block, str, bool, Solution]]
) -> list[tuple[Block, str, bool, Solution]]:
    """Alternatives that scored well as baselines first; the rest keep their fixed order."""
    metric = experiment.task.metric
    sign = -1.0 if metric.greater_is_better else 1.0

    def place(row: tuple[Block, str, bool, Solution]) -> float:
        known = experiment.evaluator.recall(row[3])
        return sign * known.mean if known is not None else np.inf

    return sorted(rows, key=place)


def _plan(
    experiment: Experiment, best: Evaluation, changes: Sequence[tuple[Block, str, bool, Solution]], deadline: Deadline
) -> FoldPlan:
    """Choose the folds by what the time allows for all changes: repeated folds on all rows; the run's own folds, where the
    solution itself and its rivals are scored already; or repeated folds on fewer rows. Steps keep the choice reproducible."""
    plan = experiment.plan
    time_s = 0.8 * deadline.remaining()
    if best.seconds * _REPEATS * (len(changes) + 1) <= time_s:
        return FoldPlan(plan.n_folds, _REPEATS, plan.max_rows)
    unknown = sum(experiment.evaluator.recall(variant) is None for _, _, _, variant in changes)
    n_rows = len(experiment.evaluator.covered)
    affordable = n_rows * time_s / max(best.seconds * _REPEATS * (len(changes) + 1), 1e-9)
    if best.seconds * unknown <= time_s or affordable < _ROW_STEPS[0] or n_rows <= _ROW_STEPS[0]:
        return plan
    return FoldPlan(plan.n_folds, _REPEATS, next(step for step in reversed(_ROW_STEPS) if step <= affordable))


def _rank(
    experiment: Experiment,
    evaluator: Evaluator,
    base: Evaluation,
    score: float,
    measured: Sequence[tuple[Block, str, bool, Evaluation]],
) -> tuple[Impact, ...]:
    metric = experiment.task.metric
    comparisons = [
        paired_comparison(base.scores, evaluation.scores, metric, evaluator.test_train_ratio)
        for _, _, _, evaluation in measured
    ]
    corrected = holm([comparison.p_value for comparison in comparisons])
    floor = dummy_score(experiment)
    span = abs(metric.gain(score, floor)) if floor is not None else 0.0
    rows = []
    for (block, text, neutral, evaluation), comparison, p_value in zip(measured, comparisons, corrected, strict=True):
        share = comparison.mean_gain / span if span > 0 else None
        rows.append(
            Impact(
                block.name,
                text,
                neutral,
                comparison.mean_gain,
                share,
                comparison.interval,
                p_value,
                _level(comparison, share, p_value),
                evaluation.seconds,
            )
        )
    return tuple(sorted(rows, key=lambda row: -abs(row.impact)))


def _level(comparison: Comparison, share: float | None, p_value: float) -> Level:
    """HIGH: at least 5 % of the gain over the dummy, and certain after correction for their number; MEDIUM: at least 0.5 %,
    and certain by itself; LOW: the rest."""
    size = abs(share) if share is not None else (1.0 if p_value < _SIGNIFICANT else 0.0)
    if p_value < _SIGNIFICANT and size >= _HIGH_SHARE:
        return "HIGH"
    if comparison.p_value < _SIGNIFICANT and size >= _MEDIUM_SHARE:
        return "MEDIUM"
    return "LOW"


def _next_block(rows: Sequence[Impact], studied: Sequence[Block], refined: Sequence[str]) -> tuple[str, str]:
    """Most impact per second of evaluation first; refined blocks later. An alternative that is better counts most of all."""
    order = block_order(rows, [block.name for block in studied], refined)
    chosen = order[0]
    own = [row for row in rows if row.block == chosen]
    better = [row for row in own if row.impact < 0 and row.level != "LOW"]
    if better:
        return chosen, f"{better[0].change} scored better than {chosen} as it stands"
    if own:
        return chosen, f"largest impact per second ({own[0].impact:+.4g} when {own[0].change})"
    return chosen, "nothing was measured about it yet"


def block_order(rows: Sequence[Impact], names: Sequence[str], refined: Sequence[str]) -> list[str]:
    """Order blocks for refinement: not yet refined ones first, then by impact per second, highest first."""

    def weight(name: str) -> float:
        own = [abs(row.impact) / rough_seconds(row.cost_s) for row in rows if row.block == name]
        return max(own, default=0.0)

    def prior(name: str) -> int:
        """Where nothing was measured: the learner and its inputs are worth more attention than cleaning."""
        return _ATTENTION.index(slot_of(name))

    return sorted(names, key=lambda name: (refined.count(name), -weight(name), prior(name), names.index(name)))


def slot_of(name: str) -> Slot:
    """The slot of a block's name, `encode` of `encode.onehot`."""
    return next(slot for slot in SLOTS if name.partition(".")[0] == slot)
