"""A support vector machine with a Gaussian kernel (libsvm): smooth and strong on small tables, hopeless on large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..native_threads import single_blas_thread
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._margins import fit_machine

if TYPE_CHECKING:
    import optuna

_ROWS_AT_MOST = 5_000
_ROWS_FOR_A_CLOSE_BORDER = 3_000
"""Where rows are noisy the solver takes many times as long with so little slack."""
_ITERATIONS = 100_000
_KERNEL_CELLS = 2_000_000
_LEAST_ROWS_ON_ONE_THREAD = 100


@dataclass
class KernelSum:
    """The margin of two classes, or a value, as a sum of Gaussian kernels. libsvm's own sum takes one row at a time: 16,000 rows/s
    with 1,500 vectors of 30 columns, 190,000 with products of matrices."""

    vectors: np.ndarray
    squares: np.ndarray
    coefficients: np.ndarray
    intercept: float
    gamma: float

    @classmethod
    def of(cls, machine: Any) -> KernelSum:
        """The same function as a fitted `SVR`, or an `SVC` of two classes."""
        vectors = np.asarray(machine.support_vectors_)
        squares = (vectors**2).sum(axis=1)
        return cls(vectors, squares, np.asarray(machine.dual_coef_)[0], float(machine.intercept_[0]), machine.gamma)

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n_rows, n_columns) → sums (n_rows,)."""
        if len(rows) < _LEAST_ROWS_ON_ONE_THREAD:
            return self._sums(rows)
        # Folds are predicted side by side.
        with single_blas_thread():
            return self._sums(rows)

    predict = decision_function

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        step = max(1, _KERNEL_CELLS // max(1, len(self.vectors)))
        sums = np.empty(len(rows))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            distances = part @ self.vectors.T
            distances *= -2.0
            distances += self.squares
            distances += np.einsum("ij,ij->i", part, part)[:, None]
            np.maximum(distances, 0.0, out=distances)
            distances *= -self.gamma
            sums[start : start + step] = np.exp(distances, out=distances) @ self.coefficients
        return sums + self.intercept


def _defaults(shape: DataShape) -> ParamDict:
    return {"C": 3.0 if shape.kind == "regression" else 1.0, "gamma_scale": 1.0}


def _variants(shape: DataShape) -> list[ParamDict]:
    """A border that follows single rows, for tables with little noise (vehicle silhouettes: accuracy 0.73, 0.83)."""
    return [{"C": 30.0, "gamma_scale": 0.5}] if shape.n_rows <= _ROWS_FOR_A_CLOSE_BORDER else []


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "C": trial.suggest_float("C", 0.05, 100.0, log=True),
        "gamma_scale": trial.suggest_float("gamma_scale", 0.03, 10.0, log=True),
    }


def _fit(data: TrainingData) -> FittedModel:
    from sklearn.svm import SVC, SVR

    data.deadline.check("starting a support vector machine")
    settings = {
        "C": float(data.params["C"] or 1.0),
        "gamma": float(data.params["gamma_scale"] or 1.0) / data.X.shape[1],
        "max_iter": _ITERATIONS,
        "cache_size": 200,
    }
    fitted = fit_machine(SVR(**settings) if data.kind == "regression" else SVC(**settings), data)
    if data.kind != "multiclass":
        fitted.machine = KernelSum.of(fitted.machine)
    return fitted


def _cost(shape: DataShape) -> float:
    return 0.02 + 2e-9 * float(shape.n_rows) ** 2 * (20 + shape.dense_columns)


def _applies(shape: DataShape) -> str | None:
    return f"RBF kernels need {_ROWS_AT_MOST:,} rows or fewer" if shape.n_rows > _ROWS_AT_MOST else None


MODEL = Model(
    key="svm_rbf",
    title="RBF SVM",
    family="svm",
    summary="A smooth border from a Gaussian kernel; for small tables.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    variants=_variants,
    space=_space,
    applies=_applies,
    priority=45,
)
