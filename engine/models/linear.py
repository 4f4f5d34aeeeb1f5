"""Ridge regression and multinomial logistic regression, the penalty chosen on training rows where none is given.

Calibration of `cost`: 10,000 × 8 to 12,000 × 216 regression rows, 4,000 × 100 to 24,000 × 306 binary rows and 3,700 × 187 rows of
seven classes on one core.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._linear_form import FittedLinear, Taming
from ._newton import Problem, solve
from ._rounds import Stopper

if TYPE_CHECKING:
    import optuna

_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
_NEWTON_COEFFICIENTS = 500
"""Newton's method builds and solves a square system of this many coefficients at most; L-BFGS takes over above."""
_RIDGE_COEFFICIENTS = 2_000
_ROUNDS_AT_MOST = 12
_SEARCH_SHARE = 0.5


def _defaults(shape: DataShape) -> ParamDict:
    return {"penalty": None}


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {"penalty": trial.suggest_float("penalty", 1e-3, 1e4, log=True)}


def _fit(data: TrainingData) -> FittedModel:
    data.deadline.check("starting a linear model")
    taming = Taming.fit(data.X)
    with single_blas_thread():
        return _ridge(data, taming) if data.kind == "regression" else _logistic(data, taming)


def _ridge(data: TrainingData, taming: Taming) -> FittedLinear:
    """Fit ridge; without a penalty take the one with the least leave-one-out error, exact from one decomposition."""
    from sklearn.linear_model import Ridge, RidgeCV

    penalty = data.params["penalty"]
    if penalty is None:
        probe = _probe(data)
        weight = None if data.weight is None else data.weight[probe]
        rows = taming.apply(data.X.iloc[probe])
        penalty = RidgeCV(alphas=_PENALTIES).fit(rows, data.y[probe], sample_weight=weight).alpha_
    if data.X.shape[1] <= _RIDGE_COEFFICIENTS:
        point, _ = solve(Problem(data.X, taming, data.y, data.weight, False, float(penalty)), data.deadline)
        return FittedLinear(taming, point[:-1, None], point[-1:], regression=True)
    model = Ridge(alpha=float(penalty), copy_X=False).fit(taming.apply(data.X), data.y, sample_weight=data.weight)
    return FittedLinear(taming, model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_), regression=True)


def _logistic(data: TrainingData, taming: Taming) -> FittedLinear:
    """Fit a (multinomial) logistic regression; without a penalty take the best of six on a fifth of the rows."""
    if len(np.unique(data.y)) < 2:
        return FittedLinear(
            taming, np.zeros((data.X.shape[1], data.n_classes)), np.zeros(data.n_classes), regression=False
        )
    penalty, shortened, start = data.params["penalty"], False, None
    if penalty is None:
        penalty, shortened, start = _choose_penalty(data, taming)
    fitted = _solve(data, taming, slice(None), float(penalty), start)
    fitted.cut = fitted.cut or shortened
    return fitted


def _choose_penalty(data: TrainingData, taming: Taming) -> tuple[float, bool, FittedLinear | None]:
    """Return the penalty with the least log loss on held-out rows, whether the clock shortened the search, and the model.

    From the strongest penalty on, each begins where the one before ended; where two in a row are worse, weaker ones would be too.
    """
    from sklearn.metrics import log_loss

    probe = np.random.default_rng(data.seed).permutation(_probe(data))
    fit, held = probe[len(probe) // 5 :], probe[: len(probe) // 5]
    classes = np.unique(data.y[fit])
    held = held[np.isin(data.y[held], classes)]
    if len(classes) < 2 or not len(held):
        return 1.0, False, None
    weight = None if data.weight is None else data.weight[held]
    best: tuple[float, FittedLinear | None] = (1.0, None)
    best_loss, worse, fitted = np.inf, 0, None
    # Of what is left now: the clock may be that of a whole run.
    search = data.deadline.share(_SEARCH_SHARE)
    for penalty in reversed(_PENALTIES):
        if fitted is not None and search.passed:
            return best[0], True, best[1]
        fitted = _solve(data, taming, fit, penalty, fitted)
        if fitted.cut and best[1] is not None:
            return best[0], True, best[1]
        loss = log_loss(data.y[held], fitted.predict(data.X.iloc[held]), labels=classes, sample_weight=weight)
        if loss < best_loss:
            best_loss, best, worse = loss, (penalty, fitted), 0
        elif (worse := worse + 1) == 2:
            break
        if fitted.cut:
            return best[0], True, best[1]
    return best[0], False, best[1]


def _solve(
    data: TrainingData, taming: Taming, part: np.ndarray | slice, penalty: float, start: FittedLinear | None
) -> FittedLinear:
    """Fit on a part of the rows, from where another fit ended."""
    X, weight = data.X.iloc[part], None if data.weight is None else data.weight[part]
    # A part of the rows can lack a class: the others are counted anew.
    classes, y = np.unique(data.y[part], return_inverse=True)
    if start is not None and start.coefficients.shape[1] != (1 if len(classes) == 2 else len(classes)):
        start = None
    if len(classes) > 2 or X.shape[1] > _NEWTON_COEFFICIENTS:
        return _multinomial(data, taming, taming.apply(X), y, weight, penalty, start)
    begin = None if start is None else np.append(start.coefficients[:, 0], start.intercept)
    point, cut = solve(Problem(X, taming, y, weight, True, penalty), data.deadline, begin)
    return FittedLinear(taming, point[:-1, None], point[-1:], regression=False, cut=cut)


def _multinomial(
    data: TrainingData,
    taming: Taming,
    rows: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    penalty: float,
    start: FittedLinear | None,
) -> FittedLinear:
    """Iterate in short stretches, so that the clock can end them."""
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    newton = rows.shape[1] * data.n_classes <= _NEWTON_COEFFICIENTS
    stretch = 8 if newton else 25
    model = LogisticRegression(
        C=1.0 / penalty, solver="newton-cholesky" if newton else "lbfgs", max_iter=stretch, warm_start=True
    )
    if start is not None:
        model.coef_, model.intercept_ = start.coefficients.T.copy(), start.intercept.copy()
    stopper = Stopper(data.deadline, patience=_ROUNDS_AT_MOST)
    for done in range(1, _ROUNDS_AT_MOST + 1):
        with warnings.catch_warnings():
            # An unfinished stretch is no news, and a singular Hessian makes scikit-learn fall back to L-BFGS by itself.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", LinAlgWarning)
            model.fit(rows, y, sample_weight=weight)
        if int(np.max(model.n_iter_)) < stretch or stopper.stop_after(done):
            break
    return FittedLinear(taming, model.coef_.T.copy(), model.intercept_.copy(), regression=False, cut=stopper.cut)


def _probe(data: TrainingData) -> np.ndarray:
    """Sorted positions of the rows the penalty is chosen on: at most 10,000, fewer where columns make a solution dear."""
    at_most = 10_000 if data.X.shape[1] <= 500 else 2_000
    if len(data.y) <= at_most:
        return np.arange(len(data.y))
    return np.sort(np.random.default_rng(data.seed).choice(len(data.y), at_most, replace=False))


def _cost(shape: DataShape) -> float:
    scores = max(1, shape.n_classes - 1)
    per_value = 1e-7 if shape.n_classes <= 2 else 6e-7
    width = shape.dense_columns * scores
    return 0.05 + shape.n_rows * width * (per_value + 2e-10 * min(width, _NEWTON_COEFFICIENTS))


MODEL = Model(
    key="linear",
    title="Linear",
    family="linear",
    summary="Ridge or logistic regression; fast, stable, and strong on wide or noisy tables.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True, bins=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    most_rows=100_000,
    priority=11,
)
