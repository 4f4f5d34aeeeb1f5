"""How far a score would move with other rows: scores of bootstrap samples of rows predicted without having been learnt."""

from __future__ import annotations

import numpy as np

from .deadline import Deadline
from .experiment import Experiment
from .quick_scores import QuickLoss

FEWEST_RESAMPLES = 50
"""With fewer scores nothing is said of how far they move."""
_RESAMPLES = 200
_ROWS_OF_A_FOLD = 4_000
_ONE_DEVIATION = (16, 84)


def resampled_scores(
    experiment: Experiment, rows: np.ndarray, prediction: np.ndarray, clock: Deadline, share: float = 1.0
) -> list[float]:
    """Scores of bootstrap samples of these rows, of whole groups where the split keeps them together; those with a value.

    Parameters
    ----------
    rows : ndarray (n_rows,) of int
        Places in the dataset.
    prediction : ndarray (n_rows, n_outputs)
        Of those rows.
    clock : Deadline
        Ends it early; there are 200 scores at most.
    share : float
        Rows (groups) of a sample per row (group) there is.
    """
    rng = np.random.default_rng(experiment.seed)
    y = experiment.dataset.y[rows]
    units = _groups(experiment, rows)
    n = len(rows) if units is None else len(units)
    drawn = max(1, round(share * n))
    scores: list[float] = []
    for _ in range(_RESAMPLES):
        if clock.passed:
            break
        draw = rng.integers(0, n, drawn)
        if units is not None:
            draw = np.concatenate([units[unit] for unit in draw])
        if experiment.task.is_classification and len(np.unique(y[draw])) < 2:
            continue
        scores.append(QuickLoss(y[draw], experiment.task).score(prediction[draw]))
    return [score for score in scores if np.isfinite(score)]


def noise_of_a_fold(experiment: Experiment, oof: np.ndarray) -> float:
    """Standard deviation that the draw of its rows alone gives the score of a fold; 0 where it cannot be told.

    Parameters
    ----------
    oof : ndarray (n_covered, n_outputs)
        Out-of-fold predictions of the rows that the folds cover. Samples of a part of a fold stand for a large one, so that the
        work is the same on every machine.
    """
    rows = experiment.evaluator.covered
    n_folds = sum(fold.repeat == 0 for fold in experiment.evaluator.folds)
    part = min(1.0, _ROWS_OF_A_FOLD * n_folds / len(rows))
    scores = resampled_scores(experiment, rows, oof, experiment.deadline, part / n_folds)
    if len(scores) < FEWEST_RESAMPLES:
        return 0.0
    # Not the plain standard deviation: a score that divides by what a few rows happen to hold runs away on some draws.
    low, high = np.percentile(scores, _ONE_DEVIATION)
    return float(0.5 * (high - low) * np.sqrt(part))


def _groups(experiment: Experiment, rows: np.ndarray) -> list[np.ndarray] | None:
    """Places in `rows` of each group's rows; None where the split knows no groups."""
    if experiment.split.groups is None:
        return None
    codes = experiment.split.groups[rows]
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.unique(codes[order], return_index=True)[1][1:])
