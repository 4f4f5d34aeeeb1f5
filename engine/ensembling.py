"""Ensembling (MLE-STAR §3.3, Algorithm 3): strategies on out-of-fold predictions, each scored honestly; the best one is kept only
if it beats the best single solution.

A strategy's score is cross-fitted: for each fold its weights are learnt on the other folds (on the earlier ones where time orders
the folds) and scored on that fold. The paper returns the best ensemble without this comparison.

What a strategy has to beat is the cross-fitted score of picking the best single solution: that solution's own score is flattered,
because it is the best of many on these very folds. No margin for noise is asked beyond that: at an equal score the average of
several is the safer choice. Where time orders the folds or rows are few, drift or noise make any lead of a single solution
doubtful, and an average (under drift one with equal weights) is kept unless the single one leads by more than twice the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from . import registry
from .compare import accept, paired_comparison
from .deadline import Deadline
from .errors import DeadlinePassed, NotFound
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .leaderboard import best_single, leaderboard
from .plugins import Ensemble, FittedEnsemble

_POOL = 24
_PER_LEARNER = 5
_FEW = 8
_FEW_ROWS = 2_000
_ALIKE = 0.01
_COMPARED_ROWS = 2_000
_FORESEEN_ROWS = 4_000


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
    `best_single_cross_fitted` is what picking the best of the pool on the other folds gives, and what a strategy has to beat.
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


def member_pool(experiment: Experiment) -> list[Evaluation]:
    """Solutions worth combining: the best ones, at most five per learner and none that predicts like one before it, so that
    variants of one learner do not crowd out the rest."""
    pool: list[Evaluation] = []
    per_learner: dict[str, int] = {}
    for ranked in leaderboard(experiment):
        learner = ranked.evaluation.solution.model.component
        if ranked.family == "dummy" or per_learner.get(learner, 0) >= _PER_LEARNER:
            continue
        evaluation = experiment.evaluator.recall(ranked.evaluation.solution)
        if evaluation is None or evaluation.oof is None or any(_alike(evaluation, known) for known in pool):
            continue
        per_learner[learner] = per_learner.get(learner, 0) + 1
        pool.append(evaluation)
        if len(pool) == _POOL:
            break
    return pool


def _alike(one: Evaluation, other: Evaluation) -> bool:
    """Whether two members predict so nearly the same that a combination gains nothing from having both."""
    if one.oof is None or other.oof is None:
        return False
    a, b = one.oof[~np.isnan(one.oof).any(axis=1)], other.oof[~np.isnan(other.oof).any(axis=1)]
    every = slice(None, None, len(a) // _COMPARED_ROWS + 1)
    return bool(np.abs(a[every] - b[every]).mean() < _ALIKE * a[every].std(axis=0).mean())


def expected_refit_seconds(experiment: Experiment) -> float:
    """What one fit of the ensemble will take on all rows, as far as the pool tells now: greedy weights on a sample of rows."""
    pool = member_pool(experiment)
    if len(pool) < 2:
        return sum(member.refit_seconds for member in pool)
    covered = experiment.evaluator.covered
    rows = covered[:: len(covered) // _FORESEEN_ROWS + 1]
    greedy = registry.ensembles()["greedy"]
    weights = greedy.fit(stack_of(pool, rows), experiment.dataset.y[rows], experiment.task, experiment.seed).weights
    return sum(member.refit_seconds for member, weight in zip(pool, weights or (), strict=True) if weight > 0.0)


def build_ensemble(
    experiment: Experiment, deadline: Deadline, strategies: Sequence[str] | None = None, rounds: int = 5
) -> EnsembleResult:
    """Try ensemble strategies until `rounds` or the deadline is used up, and record what is kept.

    Parameters
    ----------
    strategies : sequence of str, optional
        Names to try, in this order; by default all that fit the task. Raises `NotFound` for an unknown name.
    rounds : int
        At most so many strategies (the paper's R).
    """
    # Where the time allowed the dummy alone, that is the best so far, and there is nothing to combine.
    pool = member_pool(experiment) or [best_single(experiment).evaluation]
    reference = cross_fitted_choice(experiment, pool)
    chosen = _strategies(experiment, strategies)
    if strategies is None:
        # Weights learnt on past blocks of time follow what these blocks had in common, which the next one need not share.
        equal = [strategy for strategy in chosen if strategy.members == "one_per_learner"]
        chosen = (equal if experiment.split.kind == "time" else chosen)[:rounds]
    tried, candidates = _score_strategies(experiment, deadline, chosen, pool, reference)
    time_s = experiment.seconds_per_final_fit()
    if candidates and all(candidate.refit_s > time_s for candidate in candidates):
        # All of them hold members that could not be fitted in time: combine the best ones that can.
        tried, candidates = _score_strategies(experiment, deadline, chosen, _affordable(pool, time_s), reference)
    result = _decide(experiment, pool, float(np.mean(reference)), candidates, tried)
    experiment.record("ensemble", asdict(result))
    return result


def _affordable(pool: Sequence[Evaluation], time_s: float) -> list[Evaluation]:
    """The best members that can all be fitted in so many seconds."""
    kept: list[Evaluation] = []
    for member in pool:
        if sum(other.refit_seconds for other in kept) + member.refit_seconds <= time_s:
            kept.append(member)
    return kept


def _score_strategies(
    experiment: Experiment,
    deadline: Deadline,
    chosen: Sequence[Ensemble],
    pool: Sequence[Evaluation],
    reference: tuple[float, ...],
) -> tuple[list[StrategyScore], list[_Candidate]]:
    """Score strategies on a pool; those that beat the reference are candidates."""
    metric = experiment.task.metric
    tried: list[StrategyScore] = []
    candidates: list[_Candidate] = []
    for number, strategy in enumerate(chosen if len(pool) > 1 else []):
        if number and deadline.passed:
            break
        members = _members_for(strategy, pool)
        clock = Deadline(deadline.remaining())
        try:
            scores = cross_fitted_scores(experiment, strategy, members, deadline)
        except (DeadlinePassed, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            tried.append(StrategyScore(strategy.key, None, None, None, len(members), clock.elapsed(), str(error)[:200]))
            continue
        comparison = paired_comparison(scores, reference, metric, experiment.evaluator.test_train_ratio)
        mean = float(np.mean(scores))
        tried.append(
            StrategyScore(strategy.key, mean, comparison.mean_gain, comparison.p_value, len(members), clock.elapsed())
        )
        unsure = _in_doubt(experiment) and comparison.mean_gain > -_lead(experiment) * comparison.standard_error
        if comparison.mean_gain > 0 or unsure:
            candidates.append(_candidate(experiment, strategy, members, scores, comparison.mean_gain))
        experiment.progress("ensemble", f"{strategy.key} scored", number + 1, len(chosen), mean)
    return tried, candidates


def _in_doubt(experiment: Experiment) -> bool:
    """Whether the folds are a poor guide to which of two good solutions is better."""
    return experiment.split.kind == "time" or len(experiment.split.development) < _FEW_ROWS


def _lead(experiment: Experiment) -> float:
    """Standard errors by which the less safe of two choices must be better to be taken."""
    return 2.0 if _in_doubt(experiment) else 1.0


def _members_for(strategy: Ensemble, pool: Sequence[Evaluation]) -> list[Evaluation]:
    """Which of the pool a strategy gets: equal weights want the best of every learner, stacking few members at all."""
    if strategy.members != "one_per_learner":
        return list(pool[:_FEW] if strategy.members == "few" else pool)
    best: dict[str, Evaluation] = {}
    for member in pool:
        best.setdefault(member.solution.model.component, member)
    return list(best.values())[:_FEW]


def _strategies(experiment: Experiment, names: Sequence[str] | None) -> list[Ensemble]:
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
    return sorted(fitting, key=lambda strategy: (strategy.priority, strategy.key))


def cross_fitted_scores(
    experiment: Experiment, strategy: Ensemble, members: Sequence[Evaluation], deadline: Deadline
) -> tuple[float, ...]:
    """Score a strategy fold by fold, its weights learnt on other folds only.

    Raises `DeadlinePassed` as soon as the first fit shows that all of them, and the last one on all rows, would take too long.
    """
    folds = [fold for fold in experiment.evaluator.folds if fold.repeat == 0]
    y, task = experiment.dataset.y, experiment.task
    scores = []
    started = deadline.elapsed()
    for number, fold in enumerate(folds):
        if number and (deadline.elapsed() - started) / number * (len(folds) + 1 - number) > deadline.remaining():
            raise DeadlinePassed(f"{strategy.key} would take longer than the time left")
        others = folds[:number] if experiment.split.kind == "time" else folds[:number] + folds[number + 1 :]
        held = stack_of(members, fold.valid)
        if others:
            rows = np.concatenate([other.valid for other in others])
            prediction = strategy.fit(stack_of(members, rows), y[rows], task, experiment.seed).combine(held)
        else:
            # Nothing lies before the first block in time: equal weights are all that can be known.
            prediction = held.mean(axis=0)
        scores.append(task.metric.score(y[fold.valid], prediction))
    return tuple(scores)


def cross_fitted_choice(experiment: Experiment, members: Sequence[Evaluation]) -> tuple[float, ...]:
    """Score of "take the best single solution", fold by fold: picked on the other folds (the earlier ones for time)."""
    table = np.array([member.scores for member in members])
    if not experiment.task.metric.greater_is_better:
        table = -table
    n_folds = table.shape[1]
    scores = []
    for fold in range(n_folds):
        earlier = experiment.split.kind == "time"
        known = [other for other in range(n_folds) if (other < fold if earlier else other != fold)]
        scores.append(table[table[:, known].mean(axis=1).argmax(), fold] if known else np.nan)
    signed = [float(score) if experiment.task.metric.greater_is_better else -float(score) for score in scores]
    if np.isnan(signed[0]):
        # Before the first block in time nothing is known about any of them: equal weights, as for every strategy.
        first = experiment.evaluator.folds[0].valid
        mean = stack_of(members, first).mean(axis=0)
        signed[0] = experiment.task.metric.score(experiment.dataset.y[first], mean)
    return tuple(signed)


def fit_ensemble(experiment: Experiment, key: str, members: Sequence[Evaluation]) -> FittedEnsemble:
    """Fit a strategy on all out-of-fold predictions, to be used on new rows."""
    rows = experiment.evaluator.covered
    strategy = registry.ensembles()[key]
    return strategy.fit(stack_of(members, rows), experiment.dataset.y[rows], experiment.task, experiment.seed)


@dataclass(frozen=True)
class _Candidate:
    """A strategy that beat the best single solution, fitted on all out-of-fold predictions."""

    strategy: Ensemble
    scores: tuple[float, ...]
    gain: float
    weighted: bool
    members: tuple[EnsembleMember, ...]
    refit_s: float


def _candidate(
    experiment: Experiment, strategy: Ensemble, members: Sequence[Evaluation], scores: tuple[float, ...], gain: float
) -> _Candidate:
    weights = fit_ensemble(experiment, strategy.key, members).weights
    used = [
        (member, weight)
        for member, weight in zip(members, weights or [None] * len(members), strict=True)
        if weight is None or weight > 0.0
    ]
    kept = tuple(EnsembleMember(member.solution.to_json(), member.key, weight, member.mean) for member, weight in used)
    return _Candidate(
        strategy, scores, gain, weights is not None, kept, sum(member.refit_seconds for member, _ in used)
    )


def _decide(
    experiment: Experiment,
    pool: Sequence[Evaluation],
    reference: float,
    candidates: list[_Candidate],
    tried: list[StrategyScore],
) -> EnsembleResult:
    """Choose among the strategies that beat the best single solution and can be fitted in the time there will be."""
    single = best_single(experiment).evaluation
    time_s = experiment.seconds_per_final_fit()
    metric, ratio = experiment.task.metric, experiment.evaluator.test_train_ratio
    # Flattered as its score is, a single solution that beats an ensemble by more than the noise is the better choice.
    candidates = [
        candidate
        for candidate in candidates
        if not accept(paired_comparison(single.scores, candidate.scores, metric, ratio), _lead(experiment))
    ]
    affordable = [candidate for candidate in candidates if candidate.refit_s <= time_s]
    if not affordable:
        reason = "no strategy beat the best single solution on the folds"
        if candidates:
            reason = f"fitting any ensemble on all rows would take more than the {time_s:.0f} s there will be for it"
        elif not any(row.score is not None for row in tried):
            reason = "no strategy could be tried in the time"
        if len(pool) < 2:
            reason = "there is only one scored solution"
        member = EnsembleMember(single.solution.to_json(), single.key, 1.0, single.mean)
        return EnsembleResult(
            "single",
            False,
            reason,
            single.mean,
            reference,
            single.key,
            single.mean,
            single.scores,
            (member,),
            tuple(tried),
        )
    best = _simplest_of_the_best(experiment, affordable)
    measured = "both chosen on other folds than they are scored on"
    reason = f"{best.strategy.key} beats the best single solution by {best.gain:.4g}, {measured}"
    if best.gain <= 0:
        reason = (
            f"{best.strategy.key} is within the noise of the best single solution ({best.gain:.4g}, {measured}), and an "
            f"average is the safer choice {'under drift' if experiment.split.kind == 'time' else 'with few rows'}"
        )
    return EnsembleResult(
        best.strategy.key,
        True,
        reason,
        single.mean,
        reference,
        single.key,
        float(np.mean(best.scores)),
        best.scores,
        best.members,
        tuple(tried),
    )


def _simplest_of_the_best(experiment: Experiment, candidates: Sequence[_Candidate]) -> _Candidate:
    """A weighted mean of few members is kept over a stack unless the stack is better by more than the noise: it is quicker,
    it never extrapolates, and one can read its weights."""
    weighted = max((row for row in candidates if row.weighted), key=lambda row: row.gain, default=None)
    stacked = max((row for row in candidates if not row.weighted), key=lambda row: row.gain, default=None)
    if weighted is None or stacked is None:
        return weighted or stacked or candidates[0]
    ratio = experiment.evaluator.test_train_ratio
    better = accept(
        paired_comparison(stacked.scores, weighted.scores, experiment.task.metric, ratio), _lead(experiment)
    )
    return stacked if better else weighted
