"""Ridge and two-class logistic regression by Newton's method, over the rows part by part.

scikit-learn's solvers hold the whole table in double precision twice; here a fit leaves it as it came and converts a part at a
time. Least squares take one step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

from ..deadline import Deadline
from ._linear_form import Taming

_PASSES_AT_MOST, _SHORTEST_STEP = 100, 1e-4
_SLOPE_AT_END = 1e-4
"""Of the mean loss, in any coefficient."""
_RIDGE_OF_SINGULAR = 1e-8


@dataclass(frozen=True)
class Problem:
    """Rows, targets (0 and 1 for classes) and weights of one fit."""

    X: pd.DataFrame
    taming: Taming
    y: np.ndarray
    weight: np.ndarray | None
    logistic: bool
    penalty: float


@dataclass(frozen=True)
class _Pass:
    """The penalised loss at a point, and its first and second derivatives."""

    loss: float
    slope: np.ndarray
    curvature: np.ndarray


def solve(problem: Problem, deadline: Deadline, start: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """Minimise the sum of the rows' losses plus half the penalty times the squared coefficients.

    Returns
    -------
    point : ndarray (n_columns + 1,)
        Coefficients, the intercept last; it bears no penalty.
    cut : bool
        The clock ended it.
    """
    point = np.zeros(problem.X.shape[1] + 1) if start is None else start
    total = len(problem.y) if problem.weight is None else float(problem.weight.sum())
    begun_s = deadline.elapsed()
    here = _pass(problem, point)
    if not problem.logistic:
        return point - _direction(here), False
    pass_s = deadline.elapsed() - begun_s
    step, fraction = _direction(here), 1.0
    for number in range(_PASSES_AT_MOST):
        if deadline.remaining() < pass_s:
            # Where nothing is known yet, an untried step is better than nothing.
            return (point - step if number == 0 and start is None else point), True
        there = _pass(problem, point - fraction * step)
        if not there.loss <= here.loss + 1e-9 * abs(here.loss):
            # Too far: as good as it gets where even a short step does not help.
            fraction /= 2.0
            if fraction < _SHORTEST_STEP:
                return point, False
            continue
        point, here = point - fraction * step, there
        if np.abs(here.slope).max() <= _SLOPE_AT_END * total:
            return point, False
        step, fraction = _direction(here), 1.0
    return point, False


def _direction(here: _Pass) -> np.ndarray:
    """Newton's step; a little more penalty where the curvature is singular."""
    size = np.trace(here.curvature) / len(here.slope)
    for ridge in (0.0, _RIDGE_OF_SINGULAR, 1e-4):
        try:
            return np.asarray(
                cho_solve(cho_factor(here.curvature + ridge * size * np.eye(len(here.slope))), here.slope)
            )
        except LinAlgError:
            continue
    return np.asarray(here.slope / max(size, 1e-12))


def _pass(problem: Problem, point: np.ndarray) -> _Pass:
    """Go over all rows once."""
    width = len(point) - 1
    loss, slope, curvature = 0.0, np.zeros(width + 1), np.zeros((width + 1, width + 1))
    for part, rows in problem.taming.parts(problem.X):
        score, y = rows @ point[:-1] + point[-1], problem.y[part]
        weight = np.ones(len(y)) if problem.weight is None else problem.weight[part]
        if problem.logistic:
            probability = expit(score)
            loss += float(weight @ (np.logaddexp(0.0, score) - y * score))
            error, bend = weight * (probability - y), weight * probability * (1.0 - probability)
        else:
            loss += 0.5 * float(weight @ (score - y) ** 2)
            error, bend = weight * (score - y), weight
        slope[:-1] += rows.T @ error
        slope[-1] += error.sum()
        curvature[-1, :-1] += bend @ rows
        curvature[-1, -1] += bend.sum()
        bent = np.multiply(rows, np.sqrt(bend)[:, None], out=rows)
        curvature[:-1, :-1] += bent.T @ bent
    curvature[:-1, -1] = curvature[-1, :-1]
    curvature[np.arange(width), np.arange(width)] += problem.penalty
    slope[:-1] += problem.penalty * point[:-1]
    return _Pass(loss + 0.5 * problem.penalty * float(point[:-1] @ point[:-1]), slope, curvature)
