"""Initial solutions (MLE-STAR §3.1, Algorithm 1): every sensible learner with its default pipeline and what clearly helped the
first of them, further settings of strong learners, and the simple average of the best, merged in rank order while it does not get
worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import registry
from .deadline import Deadline
from .defaults import default_solution, in_bins, why_not
from .errors import DeadlinePassed, InvalidInput, NotFound
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .leaderboard import leaderboard
from .solution import Block, Solution, Suggestion
from .structure import settle, settled

_SIMPLE = ("linear", "bayes", "tree", "neighbors")
_AVERAGE_AT_MOST = 8
_QUESTIONS_SHARE = 0.5
_SHARE_AT_MOST = 0.4
_ESTIMATES = 1.5
_FLOOR_S = 5.0
_VARIANT_STEP = 6
_EARLY = 11
_EARLIER_AT_MOST = 0.5
"""Of the stage's time, for learners that go before one that does not fit into its share: two fits of boosting on 26 classes, both
cut, leave no time for a network that is as good as they are in a third of it. Simple learners never do: on a million rows a linear
model and a tree left too little time to start any boosting."""


@dataclass(frozen=True)
class SimpleAverage:
    """The merged average: its members in rank order and its mean score on the folds."""

    members: tuple[Solution, ...]
    score: float


@dataclass(frozen=True)
class Baselines:
    """Outcome of the stage; the leaderboard itself is in the journal."""

    tried: int
    failed: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    average: SimpleAverage | None


def build_baselines(
    experiment: Experiment,
    deadline: Deadline,
    learners: Sequence[str] | None = None,
    research: Sequence[Suggestion] = (),
) -> Baselines:
    """Evaluate the initial solutions until the deadline.

    Parameters
    ----------
    learners : sequence of str, optional
        Only these learners (the dummy is always added, as the floor). Raises `NotFound` for an unknown name.
    research : sequence of Suggestion
        Ranked by the research stage for this table, best first; the first few that suit are tried one by one on the first strong
        learner, and what clearly helps goes into the solutions after it.
    """
    order, skipped = _order(experiment, learners)
    initial = _portfolio(experiment, order, research)
    failed: list[tuple[str, str]] = []
    tried = 0
    blocks: list[Block] | None = None
    waiting = list(initial)
    earlier_s = _EARLIER_AT_MOST * deadline.budget_s
    while waiting:
        if deadline.passed and tried:
            late = dict.fromkeys(other.model.component for other in waiting)
            skipped.extend((other, "no time left") for other in late)
            break
        default = _next(experiment, waiting, _SHARE_AT_MOST * deadline.budget_s, earlier_s)
        if default is not waiting[0]:
            earlier_s -= experiment.evaluator.costs.estimate(default)
        waiting.remove(default)
        key = default.model.component
        solution = settled(default, blocks or [])
        clock = _candidate_deadline(experiment, deadline, solution, tried)
        if not default.model.params and _stands_in(experiment, solution, clock):
            solution = _quicker(experiment, solution)
            clock = _candidate_deadline(experiment, deadline, solution, tried)
        evaluation = experiment.evaluator.evaluate(solution, clock, origin=_stage(key))
        tried += 1
        if evaluation.failure is not None:
            if evaluation.failure.kind == "invalid" and registry.model(key).family == "dummy":
                # What has no value for constant predictions of these folds has none for any others.
                raise InvalidInput(evaluation.failure.message)
            failed.append((key, f"{evaluation.failure.kind}: {evaluation.failure.message}"))
        elif blocks is None and registry.model(key).family == "boosting" and not evaluation.cut:
            # One that the clock ended is too dear to be asked again and again, and would be ended again.
            blocks = settle(experiment, evaluation, deadline.share(_QUESTIONS_SHARE), research)
        _tell(experiment, key, len(initial) - len(waiting), len(initial))
    if not leaderboard(experiment):
        reasons = "; ".join(f"{key} {why}" for key, why in failed)
        if all(why.startswith("timeout") for _, why in failed):
            raise DeadlinePassed(
                f"no learner finished within {deadline.budget_s:.0f} s ({reasons}); raise time_budget_s"
            )
        raise InvalidInput(f"no learner can be scored on this table with this split and metric ({reasons})")
    return Baselines(tried, tuple(failed), tuple(skipped), simple_average(experiment))


def _order(experiment: Experiment, learners: Sequence[str] | None) -> tuple[list[str], list[tuple[str, str]]]:
    """Learners to try, in order, and those that make no sense here with the reason."""
    known = registry.models()
    for key in learners or ():
        if key not in known:
            raise NotFound(f"no learner is called {key!r}; accepted: {', '.join(known)}")
    skipped = []
    order = []
    for key in sorted(known, key=lambda name: (known[name].priority, name)):
        if learners is not None and key not in learners and key != "dummy":
            continue
        reason = why_not(known[key], experiment.shape)
        if reason is None:
            order.append(key)
        else:
            skipped.append((key, reason))
    return order, skipped


def _portfolio(experiment: Experiment, order: Sequence[str], research: Sequence[Suggestion]) -> list[Solution]:
    """The learners with their defaults, and their variants behind by `_VARIANT_STEP` places of priority each: a second setting of a
    strong learner goes before the first one of a weak learner. A learner that research ranks first for this table comes early."""
    shape = experiment.shape
    # Learners come last in what research suggests, best first among themselves.
    first = next((item.block.component for item in research if item.block.slot == "model"), None)
    rows = []
    for key in order:
        place = min(registry.model(key).priority, _EARLY if key == first else math.inf)
        default = default_solution(key, shape)
        variants = [default_solution(key, shape, params) for params in registry.model(key).variants(shape)]
        settings = [default, *variants, in_bins(default, shape)]
        rows += [
            (place + _VARIANT_STEP * number, key, solution) for number, solution in enumerate(settings) if solution
        ]
    return [solution for _, _, solution in sorted(rows, key=lambda row: row[:2])]


def _next(experiment: Experiment, waiting: Sequence[Solution], share_s: float, earlier_s: float) -> Solution:
    """The first one, or, where that does not fit into its share of the stage, the first strong learner behind it that does and
    takes no more than `earlier_s` seconds."""
    estimate = experiment.evaluator.costs.estimate
    if min(estimate(waiting[0]), estimate(_quicker(experiment, waiting[0]))) > share_s:
        for other in waiting[1:]:
            key = other.model.component
            is_strong = _stage(key) == "standard" and other == default_solution(key, experiment.shape)
            if is_strong and estimate(other) < min(share_s, earlier_s):
                return other
    return waiting[0]


def _candidate_deadline(experiment: Experiment, deadline: Deadline, solution: Solution, tried: int) -> Deadline:
    """No learner that was not measured yet may eat the stage; one that was may have what it takes. Only the dummy runs even without
    time, so that there always is an answer."""
    if tried == 0:
        return Deadline(max(deadline.remaining(), _FLOOR_S))
    most_s = deadline.remaining() * _SHARE_AT_MOST
    if experiment.evaluator.costs.measured(solution):
        most_s = max(most_s, _ESTIMATES * experiment.evaluator.costs.estimate(solution))
    return deadline.at_most(most_s)


def _stands_in(experiment: Experiment, solution: Solution, clock: Deadline) -> bool:
    """Whether a learner's quicker parameters are to be tried instead of its defaults: these do not fit into the time, or did not
    before the run was interrupted."""
    evaluator = experiment.evaluator
    if evaluator.recall(solution) is not None:
        return False
    return evaluator.recall(_quicker(experiment, solution)) is not None or not evaluator.in_time(solution, clock)


def _quicker(experiment: Experiment, solution: Solution) -> Solution:
    """The solution with its learner's quicker parameters, or itself where there are none."""
    block = solution.model
    quicker = registry.model(block.component).quicker(experiment.shape)
    if quicker is None:
        return solution
    return solution.replace(block, block.with_params(quicker.params))


def _stage(key: str) -> str:
    family = registry.model(key).family
    if family == "dummy":
        return "dummy"
    return "simple" if family in _SIMPLE else "standard"


def _tell(experiment: Experiment, name: str, done: int, total: int) -> None:
    board = leaderboard(experiment)
    best = board[0].evaluation.mean if board else None
    experiment.progress("baselines", f"{name} scored", done, total, best)


def simple_average(experiment: Experiment) -> SimpleAverage | None:
    """Merge solutions into a simple average in rank order, stopping at the first that makes it worse (Algorithm 1).

    Returns None where fewer than two solutions have predictions.
    """
    members: list[Evaluation] = []
    for ranked in leaderboard(experiment)[:_AVERAGE_AT_MOST]:
        evaluation = experiment.evaluator.recall(ranked.evaluation.solution)
        if evaluation is not None and evaluation.oof is not None and ranked.family != "dummy":
            members.append(evaluation)
    if len(members) < 2:
        return None
    kept, score = [members[0]], members[0].mean
    for evaluation in members[1:]:
        merged = fold_mean(experiment, stack_of([*kept, evaluation]).mean(axis=0))
        if experiment.task.metric.better(score, merged):
            break
        kept, score = [*kept, evaluation], merged
    return SimpleAverage(tuple(item.solution for item in kept), score)


def fold_scores(experiment: Experiment, oof: np.ndarray) -> tuple[float, ...]:
    """Score out-of-fold predictions `(n_rows, n_outputs)` fold by fold, as every candidate is scored."""
    y, metric = experiment.dataset.y, experiment.task.metric
    folds = [fold for fold in experiment.evaluator.folds if fold.repeat == 0]
    return tuple(metric.score(y[fold.valid], oof[fold.valid].astype(np.float64)) for fold in folds)


def fold_mean(experiment: Experiment, oof: np.ndarray) -> float:
    """Mean of `fold_scores`."""
    return float(np.mean(fold_scores(experiment, oof)))
