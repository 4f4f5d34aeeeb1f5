"""What the run would deploy: the choice of solutions and its fit on given rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import registry
from .baselines import fold_scores
from .compare import accept, paired_comparison
from .deadline import Deadline
from .ensembling import LEAD, fit_ensemble
from .errors import Cancelled, DeadlinePassed, NotFound
from .evaluation import Evaluation, stack_of
from .experiment import Experiment
from .final_model import FinalModel
from .freed_memory import return_freed_memory
from .leaderboard import best_single
from .pipeline import FittedSolution, TrainingRows, fit_solution
from .schema import Schema
from .solution import Solution

log = logging.getLogger(__name__)

_PART_SHARE, _LEAST_SHARE = 0.7, 0.001
"""Of the time, for a fit on a part of the rows: the checks follow, and what is foreseen for that many rows is rough."""


@dataclass(frozen=True)
class Chosen:
    """What the run would deploy: the kept ensemble's members with weights, or the best single solution with weight 1.

    `scores` are per fold (cross-fitted for an ensemble). `weights` is None where the members have no shares.
    """

    strategy: str
    members: tuple[Evaluation, ...]
    weights: tuple[float, ...] | None
    scores: tuple[float, ...]

    @classmethod
    def alone(cls, member: Evaluation) -> Chosen:
        """One solution, without an ensemble."""
        return cls("single", (member,), (1.0,), member.scores)

    @property
    def is_average(self) -> bool:
        """Whether the outcome is the mean of the members by their weights, and nothing else."""
        strategy = registry.ensembles().get(self.strategy)
        plain = len(self.members) == 1 or (strategy is not None and strategy.averages)
        return self.weights is not None and plain

    @property
    def mean(self) -> float:
        """Mean score over the folds."""
        return float(np.mean(self.scores))


def chosen(experiment: Experiment) -> Chosen:
    """Return the ensemble if one was kept and no better single solution was found since it was built, else the best single."""
    single = best_single(experiment).evaluation
    entry = experiment.run.journal.last("ensemble")
    if entry is not None and entry.body["kept"] and not _overtaken(experiment, entry.body, single):
        members = [_recall(experiment, Solution.from_json(row["solution"])) for row in entry.body["members"]]
        weights = [row["weight"] for row in entry.body["members"]]
        known = tuple(weights) if all(weight is not None for weight in weights) else None
        return Chosen(entry.body["strategy"], tuple(members), known, tuple(entry.body["scores"]))
    return Chosen.alone(_recall(experiment, single.solution))


def out_of_fold(experiment: Experiment, choice: Chosen) -> np.ndarray:
    """Out-of-fold predictions (n_rows of the dataset, n_outputs) of a choice, NaN where no fold covers a row.

    The members had not seen a row they predict; what combines them, a number or two for each, was fitted on all of these rows.
    """
    rows = experiment.evaluator.covered
    stack = stack_of(choice.members, rows)
    if choice.is_average:
        combined = np.average(stack, axis=0, weights=choice.weights)
    else:
        combined = fit_ensemble(experiment, choice.strategy, choice.members).combine(stack)
    oof = np.full((experiment.dataset.n_rows, experiment.task.n_outputs), np.nan)
    oof[rows] = combined
    return oof


def _overtaken(experiment: Experiment, ensemble: dict[str, Any], single: Evaluation) -> bool:
    """Whether a single solution that was accepted after the ensemble was built leads it by as much as it would then have needed."""
    if single.key == ensemble.get("best_single_key"):
        return False
    ratio = experiment.evaluator.test_train_ratio
    return accept(paired_comparison(single.scores, ensemble["scores"], experiment.task.metric, ratio), LEAD)


def _recall(experiment: Experiment, solution: Solution) -> Evaluation:
    found = experiment.evaluator.recall(solution)
    if found is None:
        # The cache was emptied since: compute it once more rather than lose the run.
        found = experiment.evaluator.evaluate(solution, experiment.deadline, origin="recovered")
        if found.failure is not None:
            raise NotFound(f"the predictions of {solution.describe()} are gone and could not be computed again in time")
    return found


def fit_final(experiment: Experiment, choice: Chosen, positions: np.ndarray, deadline: Deadline) -> FinalModel:
    """Fit the chosen members on the rows at `positions`; a learner that gains nothing from so many gets a sample of them.

    Members that do not fit into the time are left out, the largest weights kept first, and the weighted mean of the others stands
    for the strategy; where members have no weights, the plain mean of those that were fitted. At least one is always fitted;
    where even that would take too long on all these rows, on as many as the time allows, drawn by the split's rule (see `n_rows`).
    """
    fitted: list[tuple[int, FittedSolution]] = []
    members, order = list(choice.members), _heaviest_first(choice)
    if choice.weights is not None:
        first = members[order[0]]
        if first.refit_seconds > deadline.remaining():
            share = _share_of_rows(first, _PART_SHARE * deadline.remaining())
            positions = experiment.split.sample(positions, share)
            members = [replace(member, growth=share * member.growth) for member in members]
    dataset, setting = experiment.dataset, experiment.evaluator.setting
    solutions = [members[number].solution for number in order]
    rows = TrainingRows(setting, dataset.table, dataset.y, positions, experiment.resources.threads, deadline, solutions)
    for done, number in enumerate(order):
        member = members[number]
        if fitted and member.refit_seconds > deadline.remaining():
            rows.done_with(member.solution)
            continue
        try:
            fitted.append((number, fit_solution(rows, member.solution, member.refit_rounds, member.factors)))
        except DeadlinePassed:
            if not fitted:
                raise
            rows.done_with(member.solution)
            continue
        return_freed_memory()
        experiment.progress("final model", f"{member.solution.model.component} fitted", done + 1, len(choice.members))
    fitted.sort(key=lambda pair: pair[0])
    kept_weights: tuple[float, ...] | None = None
    whole = len(fitted) == len(members)
    if choice.weights is None and not whole:
        left = mean_of(experiment, [members[number] for number, _ in fitted])
        kept_keys = {member.key for member in left.members}
        fitted, kept_weights = [pair for pair in fitted if members[pair[0]].key in kept_keys], left.weights
    elif choice.weights is not None and (choice.is_average or not whole):
        kept = [choice.weights[number] for number, _ in fitted]
        kept_weights = tuple(weight / sum(kept) for weight in kept)
    ensemble = None if kept_weights is not None else fit_ensemble(experiment, choice.strategy, choice.members)
    return FinalModel(
        Schema.of(dataset), experiment.dataset.target, not experiment.task.is_classification,
        experiment.task.classes, [solution for _, solution in fitted], kept_weights, ensemble, len(positions),
    )  # fmt: skip


def mean_of(experiment: Experiment, members: Sequence[Evaluation]) -> Chosen:
    """The mean of these, or of the good ones among them: what stands for a strategy without shares that the clock broke off."""
    shares = fit_ensemble(experiment, "mean", members).weights or ()
    kept = [(member, share) for member, share in zip(members, shares, strict=True) if share > 0.0]
    if len(kept) == 1:
        return Chosen.alone(kept[0][0])
    choice = Chosen("mean", tuple(member for member, _ in kept), tuple(share for _, share in kept), ())
    return replace(choice, scores=fold_scores(experiment, out_of_fold(experiment, choice)))


def refit_members(
    experiment: Experiment, choice: Chosen, model: FinalModel, positions: np.ndarray, deadline: Deadline
) -> tuple[list[int], list[str]]:
    """Fit members of a model again on the rows at `positions`, in its place, the largest weights first, as far as the time allows;
    returns which, and what failed. Where a fit fails, or the clock cuts it and did not cut what was there, that stays."""
    order = _heaviest_first(choice)
    dataset, setting = experiment.dataset, experiment.evaluator.setting
    solutions = [choice.members[number].solution for number in order]
    rows = TrainingRows(setting, dataset.table, dataset.y, positions, experiment.resources.threads, deadline, solutions)
    again: list[int] = []
    failures: list[str] = []
    for number in order:
        member = choice.members[number]
        if member.refit_seconds <= deadline.remaining():
            try:
                fitted = fit_solution(rows, member.solution, member.refit_rounds, member.factors)
            except Cancelled:
                raise
            except Exception as error:
                log.warning("a final fit of %s failed", member.solution.describe(), exc_info=True)
                failures.append(f"{member.solution.model.component}: {type(error).__name__}: {str(error)[:160]}")
            else:
                if not fitted.model.cut or model.members[number].model.cut:
                    model.members[number] = fitted
                    again.append(number)
                experiment.progress(
                    "final model", f"{member.solution.model.component} fitted", len(again), len(choice.members)
                )
        rows.done_with(member.solution)
        return_freed_memory()
    if len(again) == len(choice.members):
        model.n_rows = len(positions)
    return sorted(again), failures


def _heaviest_first(choice: Chosen) -> list[int]:
    """Numbers of the members, the largest weights first; as they are where there are no weights."""
    weights = choice.weights or (0.0,) * len(choice.members)
    return sorted(range(len(choice.members)), key=lambda number: -weights[number])


def _share_of_rows(member: Evaluation, seconds: float) -> float:
    """The part of the rows that a member is expected to be fitted on in this time."""
    share = 1.0
    while share > _LEAST_SHARE and replace(member, growth=share * member.growth).refit_seconds > seconds:
        share *= 0.95
    return share
