"""A small multilayer perceptron (scikit-learn, Adam), trained epoch by epoch, predicting with averaged weights.

The averaged weights (an exponential mean over epochs; Polyak and Juditsky 1992) are what is scored on the held-out rows and what is
kept: they take the place of a decaying learning rate, which scikit-learn has not.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..native_threads import single_blas_thread
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._linear_form import Taming
from ._rounds import Stopper

if TYPE_CHECKING:
    import optuna

_KEEP = 0.8
"""Share of the averaged weights that stays after an epoch."""
_EPOCHS_UNGUIDED = 30


@dataclass
class FittedNetwork:
    """Layers of rectified units; the last is linear."""

    taming: Taming
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    centre: float
    spread: float
    kind: str
    n_classes: int
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64.

        In double precision: in single, the last digits depend on where the rows lie in memory.
        """
        return self.forward(self.taming.apply(X))

    def forward(self, rows: np.ndarray) -> np.ndarray:
        """Tamed rows → outputs."""
        from scipy.special import expit, softmax

        signal = rows
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            signal = np.maximum(signal @ weight + bias, 0.0)
        scores = (signal @ self.weights[-1] + self.biases[-1]).astype(np.float64)
        if self.kind == "regression":
            return np.asarray(scores * self.spread + self.centre)
        if scores.shape[1] == 1:
            return np.hstack([expit(-scores), expit(scores)])
        return np.asarray(softmax(scores, axis=1))


def _defaults(shape: DataShape) -> ParamDict:
    return {
        "layers": 2,
        "width": 128,
        "learning_rate": 2e-3 if shape.kind == "regression" else 7e-4,
        "alpha": 1e-3 if shape.kind == "regression" else 1e-2,
        "batch_size": _batch_size(shape),
        "epochs": 100,
    }


def _batch_size(shape: DataShape) -> int:
    return int(np.clip(2 ** int(np.log2(max(shape.n_rows, 64) / 60)), 32, 256))


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "layers": trial.suggest_int("layers", 1, 3),
        "width": trial.suggest_categorical("width", [32, 64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "alpha": trial.suggest_float("alpha", 1e-5, 0.3, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256, 512]),
    }


def _fit(data: TrainingData) -> FittedModel:
    data.deadline.check("starting a network")
    with single_blas_thread():
        return _train(data)


def _train(data: TrainingData) -> FittedNetwork:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    params = data.params
    taming = Taming.fit(data.X)
    rows = taming.apply(data.X, np.float32)
    regression = data.kind == "regression"
    centre, spread = (float(data.y.mean()), float(data.y.std()) or 1.0) if regression else (0.0, 1.0)
    y = (data.y - centre) / spread if regression else data.y
    network = (MLPRegressor if regression else MLPClassifier)(
        hidden_layer_sizes=(int(params["width"] or 1),) * int(params["layers"] or 1),
        learning_rate_init=float(params["learning_rate"] or 1e-3),
        alpha=float(params["alpha"] or 0.0),
        batch_size=min(int(params["batch_size"] or 32), len(rows)),
        random_state=data.seed,
    )
    epochs = data.rounds or (int(params.get("epochs") or 100) if data.early is not None else _EPOCHS_UNGUIDED)
    stopper = Stopper(data.deadline, patience=8)
    options = {} if regression else {"classes": np.arange(data.n_classes)}
    fitted = best = FittedNetwork(taming, [], [], centre, spread, data.kind, data.n_classes)
    held_out = None if data.early is None else taming.apply(data.early.X, np.float32)
    for epoch in range(1, epochs + 1):
        with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            network.partial_fit(rows, y, sample_weight=data.weight, **options)
        keep = min(_KEEP, 1.0 - 1.0 / epoch)
        weights = _averaged(fitted.weights, network.coefs_, keep)
        biases = _averaged(fitted.biases, network.intercepts_, keep)
        fitted = FittedNetwork(taming, weights, biases, centre, spread, data.kind, data.n_classes)
        loss = None if held_out is None or data.early is None else _loss(fitted.forward(held_out), data)
        stop = stopper.stop_after(epoch, loss)
        if loss is None or stopper.best_round == epoch:
            best = fitted
        if stop:
            break
    stopper.require_rounds("the network")
    best.rounds, best.cut = stopper.rounds, stopper.cut
    return best


def _averaged(old: list[np.ndarray], new: list[np.ndarray], keep: float) -> list[np.ndarray]:
    if not old:
        return [part.copy() for part in new]
    return [(keep * before + (1.0 - keep) * part).astype(part.dtype) for before, part in zip(old, new, strict=True)]


def _loss(prediction: np.ndarray, data: TrainingData) -> float:
    """Log loss or squared error on the held-out rows."""
    early = data.early
    assert early is not None
    if data.kind == "regression":
        losses = (prediction[:, 0] - early.y) ** 2
    else:
        losses = -np.log(np.clip(prediction[np.arange(len(early.y)), early.y], 1e-12, None))
    return float(np.average(losses, weights=early.weight))


def _cost(shape: DataShape) -> float:
    batches = shape.n_rows / _batch_size(shape)
    return 0.1 + 35 * (3e-4 * batches + shape.n_rows * (3e-6 + 2e-8 * shape.dense_columns))


def _applies(shape: DataShape) -> str | None:
    return "networks this slow need 100,000 rows or fewer" if shape.n_rows > 100_000 else None


MODEL = Model(
    key="mlp",
    title="Neural network",
    family="network",
    summary="A small multilayer perceptron; smooth where trees step, so it helps an ensemble.",
    needs=Needs(numeric_only=True, no_missing=True, scaling=True, bins=True),
    fit=_fit,
    cost=_cost,
    defaults=_defaults,
    space=_space,
    applies=_applies,
    priority=25,
    early_stopping=True,
)
