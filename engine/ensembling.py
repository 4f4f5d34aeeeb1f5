"""Ensembling (MLE-STAR §3.3, Algorithm 3): strategies on out-of-fold predictions, each scored honestly; one is kept unless
the best single solution is clearly better.

A strategy's score is cross-fitted: for each fold its weights are learnt on the other folds (on the earlier ones where time orders
the folds) and scored on that fold. The paper returns the best ensemble without this comparison.

A strategy is compared with the cross-fitted score of picking the best single solution: that solution's own score is flattered,
because it is the best of many on these very folds. Even so its lead is doubtful: several that share the outcome (under drift in
equal parts) are the safer choice and are kept unless the single one leads by more than twice the noise. Among strategies the first
in order, the blend, is kept unless another leads by as much.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from . import registry
from .affordable import affordable_members, can_be_fitted_once, can_be_used
from .compare import accept, paired_comparison
from .cross_fitting import cross_fitted_choice, cross_fitted_scores
from .deadline import Deadline
from .errors import DeadlinePassed, NotFound
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .leaderboard import best_single, leaderboard
from .plugins import Ensemble, FittedEnsemble
from .pool import member_pool, pool_of
from .solution import Solution

log = logging.getLogger(__name__)

NO_SCORE = (DeadlinePassed, ValueError, ArithmeticError, np.linalg.LinAlgError)
MOST_MEMBERS = 8
LEAD = 2.0
"""Standard errors by which the less safe of two choices must be better to be taken: the single solution instead of a strategy, a
strategy instead of an earlier one."""


@dataclass(frozen=True)
class StrategyScore:
    """One strategy on the folds; `failure` says why there is no score."""

    strategy: str
    score: float | None
    gain: float | None
    p_value: float | None
    members: int
    seconds: float
    failure: str | None = None


@dataclass(frozen=True)
class EnsembleMember:
    """A solution of the pool with its weight (None where the strategy has no weights)."""

    solution: list[dict[str, object]]
    key: str
    weight: float | None
    score: float


@dataclass(frozen=True)
class EnsembleResult:
    """What was tried and what is used from now on: a strategy, or the best single solution.

    `best_single` is the score of the best accepted solution, flattered by having been picked as the best of many on these folds;
    `best_single_cross_fitted` is what picking the best of the pool on the other folds gives, and what strategies are compared with.
    `without_limits` is the score of what could have been had without the run's limits, None in a run without any.
    """

    strategy: str
    kept: bool
    reason: str
    best_single: float
    best_single_cross_fitted: float
    best_single_key: str
    mean: float
    scores: tuple[float, ...]
    members: tuple[EnsembleMember, ...]
    tried: tuple[StrategyScore, ...]
    without_limits: float | None = None


def build_ensemble(
    experiment: Experiment,
    deadline: Deadline,
    strategies: Sequence[str] | None = None,
    rounds: int = 7,
    earlier: EnsembleResult | None = None,
) -> EnsembleResult:
    """Try ensemble strategies until `rounds` or the deadline is used up, and record what is kept.

    Parameters
    ----------
    strategies : sequence of str, optional
        Names to try, in this order; by default all that fit the task. Raises `NotFound` for an unknown name.
    rounds : int
        At most so many strategies (the paper's R).
    earlier : EnsembleResult, optional
        What is used so far, from fewer solutions and with more time for the final fits; it stays unless what comes now is as good.
    """
    # Where the time allowed the dummy alone, that is the best so far, and there is nothing to combine.
    pool = member_pool(experiment) or [best_single(experiment).evaluation]
    chosen = strategies_for(experiment, strategies)
    if strategies is None:
        chosen = chosen[:rounds]
        if earlier is not None:
            # More members change little in how strategies compare: what led and what comes first are tried again, in a part of
            # the time that would otherwise be kept from the search.
            chosen = [one for one in chosen if one.key in (chosen[0].key, earlier.strategy)]

    def tell(strategy: str, done: int, score: float | None) -> None:
        experiment.progress("ensemble", f"{strategy} scored", done, len(chosen), score)

    result = compare_with_best(experiment, deadline, pool, chosen, tell)
    if earlier is not None:
        again = {row.strategy for row in result.tried}
        others = [row for row in earlier.tried if row.strategy not in again]
        result = replace(result, tried=(*result.tried, *(_against(experiment, row, result) for row in others)))
    if earlier is not None and _stays(experiment, earlier, result):
        reason = (
            "a combination of an earlier round stays: nothing that was tried now is as good and can be fitted in time"
        )
        kept = {name: getattr(earlier, name) for name in ("strategy", "kept", "mean", "scores", "members")}
        result = replace(result, reason=reason, **kept)
    if experiment.limits:
        result = replace(result, without_limits=_best_without_limits(experiment, deadline, pool, result.mean))
    experiment.record("ensemble", asdict(result))
    return result


def _against(experiment: Experiment, row: StrategyScore, result: EnsembleResult) -> StrategyScore:
    """A row of an earlier round with its gain over what is the best single solution now."""
    if row.score is None:
        return row
    return replace(row, gain=experiment.task.metric.gain(row.score, result.best_single_cross_fitted), p_value=None)


def compare_with_best(
    experiment: Experiment,
    deadline: Deadline,
    pool: Sequence[Evaluation],
    strategies: Sequence[Ensemble],
    tell: Callable[[str, int, float | None], None] = lambda *_: None,
) -> EnsembleResult:
    """Compare strategies with the best single solution, and decide."""
    reference = cross_fitted_choice(experiment, pool)
    tried, candidates = _score_strategies(experiment, deadline, strategies, pool, reference, tell)
    return _decide(experiment, pool, float(np.mean(reference)), candidates, tried)


def _stays(experiment: Experiment, earlier: EnsembleResult, now: EnsembleResult) -> bool:
    """Whether what was kept before is better than what is kept now, or no worse than the single solution that is used now, and can
    still be fitted."""
    members = [experiment.evaluator.recall(Solution.from_json(member.solution)) for member in earlier.members]
    known = [member for member in members if member is not None]
    if not earlier.kept or len(known) < len(members) or not can_be_fitted_once(experiment, known):
        return False
    metric = experiment.task.metric
    if now.kept:
        return metric.better(earlier.mean, now.mean)
    found = paired_comparison(now.scores, earlier.scores, metric, experiment.evaluator.test_train_ratio)
    return not accept(found, LEAD)


def _best_without_limits(experiment: Experiment, deadline: Deadline, pool: Sequence[Evaluation], kept: float) -> float:
    """What the run's solutions would reach if any of them could be used: the best of picking one and of the first strategy, or
    what was kept from this pool where the limits leave nothing out."""
    everything = pool_of(experiment, leaderboard(experiment)) or [best_single(experiment).evaluation]
    if [member.key for member in everything] == [member.key for member in pool]:
        return kept
    means = [float(np.mean(cross_fitted_choice(experiment, everything)))]
    if len(everything) > 1 and not deadline.passed:
        first = strategies_for(experiment)[0]
        try:
            means.append(
                float(np.mean(cross_fitted_scores(experiment, first, members_for(first, everything), deadline)))
            )
        except NO_SCORE as error:
            log.info("no ensemble without limits: %s", error)
    return max(means) if experiment.task.metric.greater_is_better else min(means)


def _score_strategies(
    experiment: Experiment,
    deadline: Deadline,
    chosen: Sequence[Ensemble],
    pool: Sequence[Evaluation],
    reference: tuple[float, ...],
    tell: Callable[[str, int, float | None], None],
) -> tuple[list[StrategyScore], list[_Candidate]]:
    """Score strategies on a pool; those that beat the reference, and shared ones within the noise of it, are candidates.

    A combination that could not be fitted in time or used within the limits is made again from those of its members that can, the
    heaviest first. Where these are clearly worse, and it can be fitted once, on development rows, it is taken as it is.
    """
    tried: list[StrategyScore] = []
    candidates: list[_Candidate] = []
    for number, strategy in enumerate(chosen if len(pool) > 1 else []):
        if number and deadline.passed:
            break
        row, candidate = _score(experiment, strategy, members_for(strategy, pool), reference, deadline)
        if candidate is not None and not candidate.affordable:
            fewer, whole = affordable_members(experiment, candidate.by_weight), (row, candidate)
            if len(fewer) > 1:
                row, candidate = _score(experiment, strategy, fewer, reference, deadline)
            if _is_worth_one_fit(experiment, whole[1], candidate):
                row, candidate = whole[0], replace(whole[1], affordable=True)
        tried.append(row)
        if candidate is not None:
            candidates.append(candidate)
        tell(strategy.key, number + 1, row.score)
    return tried, candidates


def _is_worth_one_fit(experiment: Experiment, whole: _Candidate, fewer: _Candidate | None) -> bool:
    """Whether a combination is worth more, fitted on development rows only, than one of fewer members, or none, on all rows."""
    if not can_be_fitted_once(experiment, [member for member, _ in whole.used]):
        return False
    if fewer is None or not fewer.affordable:
        return True
    metric, ratio = experiment.task.metric, experiment.evaluator.test_train_ratio
    return accept(paired_comparison(whole.scores, fewer.scores, metric, ratio), LEAD)


def _score(
    experiment: Experiment,
    strategy: Ensemble,
    members: Sequence[Evaluation],
    reference: tuple[float, ...],
    deadline: Deadline,
) -> tuple[StrategyScore, _Candidate | None]:
    """Score one strategy on these members; a candidate where it beats the reference, or is within the noise of it and its members
    share the outcome."""
    clock = Deadline(deadline.remaining())
    try:
        scores = cross_fitted_scores(experiment, strategy, members, deadline)
    except NO_SCORE as error:
        return StrategyScore(strategy.key, None, None, None, len(members), clock.elapsed(), str(error)[:200]), None
    found = paired_comparison(scores, reference, experiment.task.metric, experiment.evaluator.test_train_ratio)
    candidate = None
    if found.mean_gain > -LEAD * found.standard_error:
        candidate = _candidate(experiment, strategy, members, scores, found.mean_gain)
        if found.mean_gain <= 0 and not candidate.is_shared:
            # A stack is no safer than one solution.
            candidate = None
    mean = float(np.mean(scores))
    return StrategyScore(strategy.key, mean, found.mean_gain, found.p_value, len(members), clock.elapsed()), candidate


def members_for(strategy: Ensemble, pool: Sequence[Evaluation]) -> list[Evaluation]:
    """Return which of the pool a strategy gets: equal weights want the best of every learner, stacking few members at all."""
    if strategy.members != "one_per_learner":
        return list(pool[:MOST_MEMBERS] if strategy.members == "few" else pool)
    best: dict[str, Evaluation] = {}
    for member in pool:
        best.setdefault(member.solution.model.component, member)
    return list(best.values())[:MOST_MEMBERS]


def strategies_for(experiment: Experiment, names: Sequence[str] | None = None) -> list[Ensemble]:
    """Strategies by these names, or all that fit the task; where time orders the folds, those of equal weights."""
    known = registry.ensembles()
    for name in names or ():
        if name not in known:
            raise NotFound(f"no ensemble strategy is called {name!r}; accepted: {', '.join(known)}")
    fitting = [
        strategy
        for strategy in known.values()
        if experiment.task.kind in strategy.tasks and registry.missing_requirement(strategy) is None
    ]
    if names:
        return [known[name] for name in names if known[name] in fitting]
    if experiment.split.kind == "time":
        # Weights learnt on past blocks of time follow what these blocks had in common, which the next one need not share.
        fitting = [strategy for strategy in fitting if strategy.members == "one_per_learner"]
    metric = experiment.task.metric.key
    return sorted(
        fitting, key=lambda one: (one.aims_at is not None and metric not in one.aims_at, one.priority, one.key)
    )


def fit_ensemble(experiment: Experiment, key: str, members: Sequence[Evaluation]) -> FittedEnsemble:
    """Fit a strategy on all out-of-fold predictions, to be used on new rows."""
    combination = key, tuple((member.key, member.oof_digest) for member in members)
    if combination not in experiment.fitted_ensembles:
        rows, y = experiment.evaluator.covered, experiment.dataset.y
        fitted = registry.ensembles()[key].fit(stack_of(members, rows), y[rows], experiment.task, experiment.seed)
        experiment.fitted_ensembles[combination] = fitted
    return experiment.fitted_ensembles[combination]


@dataclass(frozen=True)
class _Candidate:
    """A strategy that may be kept, fitted on all out-of-fold predictions."""

    strategy: Ensemble
    scores: tuple[float, ...]
    gain: float
    used: tuple[tuple[Evaluation, float | None], ...]
    affordable: bool

    @property
    def is_shared(self) -> bool:
        """Whether every member has a share of the outcome."""
        return all(weight is not None for _, weight in self.used)

    @property
    def by_weight(self) -> list[Evaluation]:
        """Its members, the heaviest first; the best first where there are no weights."""
        return [member for member, _ in sorted(self.used, key=lambda pair: -(pair[1] or 0.0))]

    @property
    def members(self) -> tuple[EnsembleMember, ...]:
        """Its members as they are recorded."""
        return tuple(
            EnsembleMember(member.solution.to_json(), member.key, weight, member.mean) for member, weight in self.used
        )


def _candidate(
    experiment: Experiment, strategy: Ensemble, members: Sequence[Evaluation], scores: tuple[float, ...], gain: float
) -> _Candidate:
    weights = fit_ensemble(experiment, strategy.key, members).weights
    used = tuple(
        (member, weight)
        for member, weight in zip(members, weights or [None] * len(members), strict=True)
        if weight is None or weight > 0.0
    )
    return _Candidate(strategy, scores, gain, used, can_be_used(experiment, [member for member, _ in used]))


def _decide(
    experiment: Experiment,
    pool: Sequence[Evaluation],
    reference: float,
    candidates: list[_Candidate],
    tried: list[StrategyScore],
) -> EnsembleResult:
    """Choose among the candidates that can be fitted in the time there will be."""
    single = best_single(experiment).evaluation
    metric, ratio = experiment.task.metric, experiment.evaluator.test_train_ratio
    # Flattered as its score is, a single solution that beats an ensemble by more than the noise is the better choice.
    candidates = [
        candidate
        for candidate in candidates
        if not accept(paired_comparison(single.scores, candidate.scores, metric, ratio), LEAD)
    ]
    affordable = [candidate for candidate in candidates if candidate.affordable]
    if not affordable:
        reason = "no strategy came near enough to the best single solution on the folds"
        if candidates:
            limits = f" or exceed the limits ({experiment.limits.describe()})" if experiment.limits else ""
            time_s = experiment.seconds_for_fits
            reason = f"the fits of any ensemble would take more than the {time_s:.0f} s there will be for them{limits}"
        elif not any(row.score is not None for row in tried):
            reason = "no strategy could be tried in the time"
        if len(pool) < 2:
            reason = "there is only one scored solution"
        member = EnsembleMember(single.solution.to_json(), single.key, 1.0, single.mean)
        return EnsembleResult(
            "single", False, reason, single.mean, reference, single.key, single.mean, single.scores, (member,), tuple(tried)
        )  # fmt: skip
    best = _first_unless_beaten(experiment, affordable)
    measured = "both chosen on other folds than they are scored on"
    reason = f"{best.strategy.key} beats the best single solution by {best.gain:.4g}, {measured}"
    if best.gain <= 0:
        reason = (
            f"{best.strategy.key} is within the noise of the best single solution ({best.gain:.4g}, {measured}), and "
            f"several are the safer choice{' under drift' if experiment.split.kind == 'time' else ''}"
        )
    return EnsembleResult(
        best.strategy.key, True, reason, single.mean, reference, single.key, float(np.mean(best.scores)), best.scores,
        best.members, tuple(tried),
    )  # fmt: skip


def _first_unless_beaten(experiment: Experiment, candidates: Sequence[_Candidate]) -> _Candidate:
    """The first in the order of strategies, unless a later one is better by more than the noise: among several strategies on the
    same folds the one with the best score is mostly the luckiest, and a stack is slower and can extrapolate."""
    metric, ratio = experiment.task.metric, experiment.evaluator.test_train_ratio
    kept = candidates[0]
    for later in candidates[1:]:
        if accept(paired_comparison(later.scores, kept.scores, metric, ratio), LEAD):
            kept = later
    return kept
