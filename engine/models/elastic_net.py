"""Linear models with an L1 and L2 penalty, which drop columns: accelerated proximal gradient for every task.

The solver is FISTA (Beck and Teboulle 2009) with restarts: a round costs two matrix products, so the clock can end it anywhere,
which scikit-learn does not allow. The strength of the penalty is chosen on a fifth of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._linear_form import FittedLinear, Taming
from ._rounds import Stopper

if TYPE_CHECKING:
    import optuna

_STRENGTHS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
_ROUNDS = 300
_PROBE_ROWS = 8_000
_SEARCH_SHARE = 0.5


def _defaults(shape: DataShape) -> ParamDict:
    return {"alpha": None, "l1_ratio": 0.7}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "alpha": trial.suggest_float("alpha", 1e-5, 0.3, log=True),
        "l1_ratio": trial.suggest_float("l1_ratio", 0.05, 1.0),
    }


def _fit(data: TrainingData) -> FittedModel:
    data.deadline.check("starting an elastic net")
    taming = Taming.fit(data.X)
    rows = taming.apply(data.X)
    regression = data.kind == "regression"
    centre, spread = (float(data.y.mean()), float(data.y.std()) or 1.0) if regression else (0.0, 1.0)
    target = (data.y[:, None] - centre) / spread if regression else np.eye(data.n_classes)[data.y]
    weight = np.ones(len(rows)) if data.weight is None else data.weight
    ratio = float(data.params["l1_ratio"] or 0.0)
    alpha, shortened = data.params["alpha"], False
    with single_blas_thread():
        if alpha is None:
            alpha, shortened = _choose_alpha(data, rows, target, weight, ratio)
        point, stopper = _solve(data, rows, target, weight, float(alpha), ratio)
    stopper.require_rounds("the elastic net")
    coefficients, offset = point[:-1] * spread, point[-1] * spread + centre
    return FittedLinear(taming, coefficients, offset, regression, cut=stopper.cut or shortened)


def _choose_alpha(
    data: TrainingData, rows: np.ndarray, target: np.ndarray, weight: np.ndarray, ratio: float
) -> tuple[float, bool]:
    """Return the strength with the least loss on held-out rows, and whether the clock shortened the search."""
    probe = np.random.default_rng(data.seed).permutation(len(rows))[:_PROBE_ROWS]
    fit, held = probe[len(probe) // 5 :], probe[: max(1, len(probe) // 5)]
    losses: dict[float, float] = {}
    start, shortened = None, False
    # Of what is left now: the clock may be that of a whole run.
    search = data.deadline.share(_SEARCH_SHARE)
    for alpha in _STRENGTHS:
        if losses and search.passed:
            shortened = True
            break
        start, stopper = _solve(data, rows[fit], target[fit], weight[fit], alpha, ratio, start)
        shortened = shortened or stopper.cut
        scores = rows[held] @ start[:-1] + start[-1]
        losses[alpha] = float(np.average(_losses(scores, target[held]), weights=weight[held]))
    return min(losses, key=lambda alpha: losses[alpha]), shortened


def _losses(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Half the squared error, or log loss, of each row (n_rows,)."""
    if target.shape[1] == 1:
        return np.asarray(0.5 * ((scores - target) ** 2)[:, 0])
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - (shifted * target).sum(axis=1))


def _solve(
    data: TrainingData,
    rows: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    alpha: float,
    ratio: float,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, Stopper]:
    """Return coefficients with the offset as last row (n_columns + 1, n_outputs), and how the rounds ended."""
    regression = target.shape[1] == 1
    share = (weight / weight.sum())[:, None]
    # The largest eigenvalue of the weighted Gram matrix bounds the curvature; a softmax has at most half of it.
    curvature = _largest_eigenvalue(rows, share) * (1.0 if regression else 0.5) + alpha * (1.0 - ratio) + 1e-12
    step = 1.0 / curvature
    point = np.zeros((rows.shape[1] + 1, target.shape[1])) if start is None else start
    ahead, momentum = point, 1.0
    stopper = Stopper(data.deadline, patience=_ROUNDS)
    for done in range(1, _ROUNDS + 1):
        scores = rows @ ahead[:-1] + ahead[-1]
        error = share * ((scores if regression else _softmax(scores)) - target)
        slope = np.vstack([rows.T @ error + alpha * (1.0 - ratio) * ahead[:-1], error.sum(axis=0)])
        moved = ahead - step * slope
        shrunk = np.sign(moved[:-1]) * np.maximum(np.abs(moved[:-1]) - step * alpha * ratio, 0.0)
        new = np.vstack([shrunk, moved[-1:]])
        change = new - point
        if float(np.sum((ahead - new) * change)) > 0.0:
            momentum = 1.0
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead, point = new + (momentum - 1.0) / following * change, new
        momentum = following
        if stopper.stop_after(done) or float(np.abs(change).max()) < 1e-5:
            break
    return point, stopper


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _largest_eigenvalue(rows: np.ndarray, share: np.ndarray) -> float:
    """Power iteration on the Gram matrix with a column of ones; a little above, as it converges from below."""
    vector = np.ones(rows.shape[1] + 1)
    size = 1.0
    for _ in range(20):
        vector /= np.linalg.norm(vector) or 1.0
        image = share[:, 0] * (rows @ vector[:-1] + vector[-1])
        vector = np.append(rows.T @ image, image.sum())
        size = float(np.linalg.norm(vector))
    return 1.1 * size


def _cost(shape: DataShape) -> float:
    outputs = max(1, shape.n_classes)
    probes = 5 * min(1.0, _PROBE_ROWS / max(shape.n_rows, 1))
    return 0.02 + _ROUNDS * (0.5 + probes) * shape.n_rows * outputs * (1e-9 * shape.dense_columns + 1e-8)


MODEL = Model(
    key="elastic_net",
    title="Elastic net",
    family="linear",
    summary="A linear model that drops columns which do not help; for wide tables.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    most_rows=100_000,
    priority=50,
)
