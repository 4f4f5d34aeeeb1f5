"""The leaderboard: every solution of a run that has a score on the run's folds, best first, read from the journal."""

from __future__ import annotations

from dataclasses import dataclass

from . import registry
from .compare import Comparison, accept, paired_comparison
from .errors import NotFound
from .evaluation import Evaluation, rough_seconds
from .experiment import Experiment
from .solution import Solution

TRIALS = ("refinement", "ablation")
"""Origins of solutions that were tried as changes of another one, and count only once accepted."""

_AS_GOOD = 0.25
_WORTH_A_CHANGE = 0.0005


@dataclass(frozen=True)
class Ranked:
    """An evaluation and the stage it came from."""

    evaluation: Evaluation
    origin: str

    @property
    def family(self) -> str:
        """The learner's family."""
        return registry.model(self.evaluation.solution.model.component).family


def leaderboard(experiment: Experiment) -> list[Ranked]:
    """Return distinct scored solutions, best first; equal scores keep the order in which they were found.

    Predictions are not loaded; `Evaluator.recall` gives them.
    """
    found: dict[str, Ranked] = {}
    plan = experiment.plan.to_json()
    for entry in experiment.run.journal.read("evaluation"):
        body = entry.body
        if body["plan"] == plan and body["failure"] is None and body["key"] not in found:
            found[body["key"]] = Ranked(Evaluation.from_json(body), body["origin"])
    sign = -1.0 if experiment.task.metric.greater_is_better else 1.0
    return sorted(found.values(), key=lambda ranked: sign * ranked.evaluation.mean)


def contenders(experiment: Experiment) -> list[Ranked]:
    """Return the leaderboard's solutions that may be used: all that learn something and keep to the run's limits."""
    return [
        ranked
        for ranked in leaderboard(experiment)
        if ranked.family != "dummy" and experiment.limits.allow([ranked.evaluation.footprint])
    ]


def best_single(experiment: Experiment) -> Ranked:
    """Return the best accepted solution that keeps to the run's limits, or the one that exceeds them least; raises `NotFound`
    before anything was scored.

    A plan of the refinement counts from the moment its step accepted it; before that, and for the changes an ablation measured, a
    better mean may be noise.
    """
    accepted = {
        Solution.from_json(entry.body["solution"]).key
        for entry in experiment.run.journal.read("refinement")
        if entry.body["accepted"]
    }
    ranking = [
        ranked for ranked in leaderboard(experiment) if ranked.origin not in TRIALS or ranked.evaluation.key in accepted
    ]
    if not ranking:
        raise NotFound("no solution has a score yet; call build_baselines first")
    # The dummy keeps to every limit and is of no use: it is the best only where it is alone.
    learnt = [ranked for ranked in ranking if ranked.family != "dummy"]
    return min(learnt or ranking, key=lambda ranked: max(1.0, experiment.limits.excess([ranked.evaluation.footprint])))


def starting_point(experiment: Experiment) -> Ranked:
    """Return the quickest of the solutions that are about as good as the best (a quarter of a standard error of the paired folds):
    a search from there tries more in the same time. Raises `NotFound` before anything was scored."""
    best = best_single(experiment)
    ratio = experiment.evaluator.test_train_ratio
    metric = experiment.task.metric
    equal = [
        ranked
        for ranked in contenders(experiment)
        if (ranked.origin not in TRIALS or ranked.evaluation.key == best.evaluation.key)
        and not accept(paired_comparison(best.evaluation.scores, ranked.evaluation.scores, metric, ratio), _AS_GOOD)
    ]
    return min(equal, key=lambda ranked: rough_seconds(ranked.evaluation.seconds), default=best)


def dummy_score(experiment: Experiment) -> float | None:
    """Mean score of the dummy learner, or None before it was evaluated."""
    for ranked in leaderboard(experiment):
        if ranked.family == "dummy":
            return ranked.evaluation.mean
    return None


def judge_change(experiment: Experiment, new: Evaluation, old: Evaluation) -> tuple[Comparison, bool]:
    """Compare a changed solution with the one it came from; True: better by more than the noise of the paired folds, and by enough.

    Enough is 0.05 % of what the old one gains over the dummy. Changes that hardly change a prediction have paired differences
    without spread, so a test of noise alone would keep them.
    """
    comparison = paired_comparison(
        new.scores, old.scores, experiment.task.metric, experiment.evaluator.test_train_ratio
    )
    floor = dummy_score(experiment)
    enough = _WORTH_A_CHANGE * abs(old.mean - floor) if floor is not None else 0.0
    return comparison, accept(comparison) and comparison.mean_gain > enough
