"""One fold under the magnifying glass: the chosen solution refitted on a fold's training rows, scored on both sides, and asked
which columns it needs (permutation importance). Sealed rows play no part."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from . import registry
from .checking import NO_TIME, sample
from .deadline import Deadline
from .errors import Cancelled, DeadlinePassed
from .evaluation import Evaluation
from .experiment import Experiment
from .final import Chosen
from .pipeline import FittedSolution, TrainingRows, fit_solution
from .plugins import Family, NotApplicable
from .roles import FEATURE_ROLES

log = logging.getLogger(__name__)

_SCORED_ROWS = 20_000
_PERMUTED_ROWS = 1_000
_PERMUTED_COLUMNS = 60
_REPEATS = 2
_PERMUTING_S = 4.0
_BY_HEART: frozenset[Family] = frozenset({"forest", "neighbors"})
"""Their predictions of training rows are made of these very rows' outcomes: nearly perfect, whatever they are worth elsewhere."""


@dataclass(frozen=True)
class Importance:
    """Score lost on validation rows when the column is shuffled, in the metric's units."""

    column: str
    loss: float


@dataclass(frozen=True)
class Examination:
    """Scores of one fold's training and validation rows.

    Attributes
    ----------
    member : str
        The solution that was measured: the heaviest member of an ensemble.
    gap : float
        How much better training is than validation, as a share of the validation score; negative: worse.
    by_heart : bool
        The learner knows training rows by heart by design, so that the gap says nothing.
    importance : tuple of Importance
        Largest first; empty where no time was left.
    """

    member_key: str
    member: str
    train: float
    valid: float
    gap: float
    importance: tuple[Importance, ...]
    by_heart: bool = False

    @property
    def judged_gap(self) -> float | NotApplicable:
        """The gap, where it tells how much a model overfits."""
        if not self.by_heart:
            return self.gap
        return NotApplicable(
            "forests and nearest neighbours know their training rows by heart without predicting others worse for it"
        )


def examine_fold(experiment: Experiment, choice: Chosen) -> Examination | NotApplicable:
    """Examine the chosen solution on the first fold (the last one where folds follow time).

    The result is kept in the journal, so asking again costs nothing. A learner that fails or is stopped by the clock makes this
    not applicable: what was saved before stays valid.
    """
    member = heaviest(choice)
    for entry in experiment.run.journal.read("examination"):
        if entry.body["member_key"] == member.key:
            importance = tuple(Importance(**row) for row in entry.body["importance"])
            return Examination(**{**entry.body, "importance": importance})
    # As `fit_seconds` keeps it free: a fit with all threads, not one beside others.
    if member.fold_refit_seconds >= experiment.deadline.remaining():
        return NotApplicable(NO_TIME)
    try:
        return _examine(experiment, member)
    except Cancelled:
        raise
    except DeadlinePassed:
        return NotApplicable(NO_TIME)
    except Exception as error:
        log.warning("the examination failed", exc_info=True)
        return NotApplicable(f"it could not be computed ({type(error).__name__}: {str(error)[:120]})")


def _examine(experiment: Experiment, member: Evaluation) -> Examination | NotApplicable:
    fold = experiment.evaluator.folds[-1 if experiment.split.kind == "time" else 0]
    dataset, metric = experiment.dataset, experiment.task.metric
    rows = TrainingRows(
        experiment.evaluator.setting,
        dataset.table,
        dataset.y,
        fold.train,
        experiment.resources.threads,
        experiment.deadline,
        [member.solution],
    )
    fitted = fit_solution(rows, member.solution, factors=member.factors)
    train, valid = (
        metric.score(dataset.y[scored], fitted.predict_table(dataset.table.take(scored)))
        for scored in (sample(part, _SCORED_ROWS, experiment.seed) for part in (fold.train, fold.valid))
    )
    if valid == 0.0 or not np.isfinite([train, valid]).all():
        return NotApplicable("the validation score is 0 or undefined, so a share of it means nothing")
    clock = experiment.deadline.at_most(min(_PERMUTING_S, 0.2 * experiment.deadline.remaining()))
    importance = tuple(_importance(experiment, fitted, sample(fold.valid, _PERMUTED_ROWS, experiment.seed), clock))
    gap = metric.gain(train, valid) / abs(valid)
    by_heart = registry.model(member.solution.model.component).family in _BY_HEART
    examination = Examination(member.key, member.solution.describe(), train, valid, gap, importance, by_heart)
    experiment.record("examination", asdict(examination))
    return examination


def heaviest(choice: Chosen) -> Evaluation:
    """The member with the largest weight; the first one where there are no weights."""
    if choice.weights is None:
        return choice.members[0]
    return choice.members[int(np.argmax(choice.weights))]


def _importance(
    experiment: Experiment, fitted: FittedSolution, rows: np.ndarray, clock: Deadline
) -> Sequence[Importance]:
    """Shuffle one column at a time; nothing if the clock ends before every column had its turn."""
    metric, y = experiment.task.metric, experiment.dataset.y[rows]
    table = experiment.dataset.table.take(rows)
    names = table.columns(*FEATURE_ROLES)
    if len(names) > _PERMUTED_COLUMNS or (experiment.task.is_classification and len(np.unique(y)) < 2):
        return []
    base = metric.score(y, fitted.predict_table(table))
    rng = np.random.default_rng(experiment.seed)
    found = []
    for name in names:
        losses = []
        for _ in range(_REPEATS):
            if clock.passed:
                return []
            frame = table.frame.copy(deep=False)
            frame[name] = frame[name].array.take(rng.permutation(len(frame)))
            losses.append(metric.gain(base, metric.score(y, fitted.predict_table(table.replace(frame)))))
        found.append(Importance(name, float(np.mean(losses))))
    return sorted(found, key=lambda row: -row.loss)
