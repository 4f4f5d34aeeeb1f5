"""Initial solutions (MLE-STAR §3.1, Algorithm 1): every sensible learner with its default pipeline, then what research suggests
for this table, then the simple average of the best ones, merged in rank order while it does not get worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import registry
from .deadline import Deadline
from .defaults import default_solution, place, usable, why_not
from .errors import DeadlinePassed, InvalidInput, NotFound
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .leaderboard import best_single, leaderboard
from .solution import Solution, Suggestion

_SIMPLE = ("linear", "bayes", "tree", "neighbors")
_ALWAYS = ("dummy", "linear")
_AVERAGE_AT_MOST = 8
_INFORMED_AT_MOST = 4
_SHARE_AT_MOST = 0.4
_FLOOR_S = 5.0


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
        Ranked by the research stage for this table, best first; the first few that suit are tried one by one on the best
        solution so far.
    """
    order, skipped = _order(experiment, learners)
    failed: list[tuple[str, str]] = []
    tried = 0
    for number, key in enumerate(order):
        if deadline.passed and tried:
            skipped.extend((late, "no time left") for late in order[number:])
            break
        evaluation = experiment.evaluator.evaluate(
            default_solution(key, experiment.shape), _candidate_deadline(deadline, tried), origin=_stage(key)
        )
        tried += 1
        if evaluation.failure is not None:
            failed.append((key, f"{evaluation.failure.kind}: {evaluation.failure.message}"))
        _tell(experiment, key, number + 1, len(order) + _INFORMED_AT_MOST)
    if not leaderboard(experiment):
        reasons = "; ".join(f"{key} {why}" for key, why in failed)
        if all(why.startswith("timeout") for _, why in failed):
            raise DeadlinePassed(
                f"no learner finished within {deadline.budget_s:.0f} s ({reasons}); raise time_budget_s"
            )
        raise InvalidInput(f"no learner can be scored on this table with this split and metric ({reasons})")
    _try_research(experiment, deadline, research, len(order))
    return Baselines(tried, tuple(failed), tuple(skipped), simple_average(experiment))


def _try_research(experiment: Experiment, deadline: Deadline, research: Sequence[Suggestion], n_learners: int) -> None:
    """Put suggested blocks one by one into the best solution so far."""
    tried = 0
    for suggestion in research:
        best = best_single(experiment).evaluation.solution
        block = suggestion.block
        if (
            block.slot == "model"
            or not suggestion.suits(best)
            or not usable(block.slot, block.component, experiment.shape)
        ):
            continue
        if deadline.passed or tried == _INFORMED_AT_MOST:
            break
        informed = place(best, block)
        experiment.evaluator.evaluate(informed, deadline, origin="research-informed")
        tried += 1
        _tell(experiment, block.name, n_learners + tried, n_learners + _INFORMED_AT_MOST)


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
    # The floor and the simple reference come first: every gate and every report compares with them.
    return [key for key in _ALWAYS if key in order] + [key for key in order if key not in _ALWAYS], skipped


def _candidate_deadline(deadline: Deadline, tried: int) -> Deadline:
    """No single learner may eat the stage; only the dummy runs even without time, so that there always is an answer."""
    if tried == 0:
        return Deadline(max(deadline.remaining(), _FLOOR_S))
    return deadline.at_most(deadline.remaining() * (1.0 if tried < len(_ALWAYS) else _SHARE_AT_MOST))


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
