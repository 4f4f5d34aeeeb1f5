"""A small multilayer perceptron, trained epoch by epoch.

Values are fitted while the learning rate falls to zero four times. Chances are fitted at one learning rate, with units left out,
and the average of the weights (an exponential mean over epochs; Polyak and Juditsky 1992) is what is scored and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..native_threads import single_blas_thread
from ..plugins import FittedModel, Model, Needs, ParamDict, TrainingData
from ..shape import DataShape
from ._linear_form import Taming
from ._network import Activation, Network, Recipe, activate, falling_four_times, steady
from ._rounds import Stopper

if TYPE_CHECKING:
    import optuna

_KEEP = 0.8
"""Share of the averaged weights that stays after an epoch."""
_EPOCHS_UNGUIDED = 30
_OF_THE_TIME = 0.9
"""Of the time left, for the epochs that are planned to fill it."""
_EPOCHS_EXPECTED = 30
"""For what a fit will cost, where epochs end with the gain on held-out rows."""


@dataclass
class FittedNetwork:
    """Layers; the last is linear."""

    taming: Taming
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    centre: float
    spread: float
    kind: str
    activation: Activation = "relu"
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
            signal = signal @ weight + bias
            activate(signal, self.activation)
        scores = (signal @ self.weights[-1] + self.biases[-1]).astype(np.float64)
        if self.kind == "regression":
            return np.asarray(scores * self.spread + self.centre)
        if scores.shape[1] == 1:
            return np.hstack([expit(-scores), expit(scores)])
        return np.asarray(softmax(scores, axis=1))


def _defaults(shape: DataShape) -> ParamDict:
    values = shape.kind == "regression"
    # Smaller batches are as good and take twice as long: then calls, not products, fill the time, and folds side by side wait for
    # the interpreter.
    batch_size = 2 ** int(np.log2(max(shape.n_rows, 64) / 8))
    rows_in_all, fewest, most = (500_000, 24, 50) if values else (800_000, 30, 150)
    return {
        "layers": 2,
        "width": 64 if values else 128,
        "learning_rate": 0.05 if values else 0.02,
        "weight_decay": 1e-3 if values else 0.05,
        "dropout": 0.0 if values else 0.15,
        "batch_size": int(np.clip(batch_size, 32, 128)),
        "epochs": int(np.clip(rows_in_all / shape.n_rows, fewest, most)),
    }


def _space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    return {
        "layers": trial.suggest_int("layers", 1, 3),
        "width": trial.suggest_categorical("width", [32, 64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 4e-3, 0.15, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
    }


def _fit(data: TrainingData) -> FittedModel:
    data.deadline.check("starting a network")
    with single_blas_thread():
        return _train(data)


def _train(data: TrainingData) -> FittedNetwork:
    params, values = data.params, data.kind == "regression"
    taming = Taming.fit(data.X)
    rows = taming.apply(data.X, np.float32)
    centre, spread = (float(data.y.mean()), float(data.y.std()) or 1.0) if values else (0.0, 1.0)
    y = _outputs(data, centre, spread)
    weight = None if data.weight is None else data.weight.astype(np.float32)[:, None]
    recipe = _recipe(data)
    random = np.random.default_rng(data.seed)
    hidden = [int(params["width"] or 1)] * int(params["layers"] or 1)
    network = Network([rows.shape[1], *hidden, y.shape[1]], recipe, random)
    batch = min(int(params["batch_size"] or 32), len(rows))
    epochs = data.rounds or (int(params["epochs"] or 100) if data.early is not None else _EPOCHS_UNGUIDED)
    n_steps = -(-len(rows) // batch)
    held_out = None if data.early is None else taming.apply(data.early.X, np.float32)
    stopper = Stopper(data.deadline, patience=epochs if values else 8)
    kept = network.parameters
    best: FittedNetwork | None = None
    # The learning rate runs its whole course in so many epochs, also where a refit has fewer.
    done, planned = 0, epochs
    while done < planned:
        order = random.permutation(len(rows))
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(n_steps):
                at = order[number * batch : (number + 1) * batch]
                progress = (done + number / n_steps) / planned
                network.step(rows[at], y[at], None if weight is None else weight[at], progress)
        done += 1
        kept = network.parameters if values else _averaged(kept, network.parameters, min(_KEEP, 1.0 - 1.0 / done))
        if not np.isfinite(kept).all():
            break
        layers = network.layers(kept)
        fitted = FittedNetwork(taming, *layers, centre, spread, data.kind, recipe.activation)
        loss = None if held_out is None or data.early is None else _loss(fitted.forward(held_out), data)
        stop = stopper.stop_after(done, loss)
        if best is None or loss is None or stopper.best_round == done:
            best = fitted
        # Where the clock ends it, the learning rate comes down before: its peak is no place to stop.
        planned = min(epochs, stopper.reachable(_OF_THE_TIME))
        if stop:
            break
    if best is None:
        raise FloatingPointError("the network diverged in its first epoch: its weights are no longer finite")
    best.rounds, best.cut = stopper.rounds, done < epochs and (stopper.cut or done >= planned)
    return best


def _recipe(data: TrainingData) -> Recipe:
    params, values = data.params, data.kind == "regression"
    return Recipe(
        kind=data.kind,
        activation="selu" if values else "relu",
        learning_rate=float(params["learning_rate"] or 0.01),
        schedule=falling_four_times if values else steady,
        scaled_inputs=values,
        variance_decay=0.95 if values else 0.999,
        weight_decay=float(params["weight_decay"] or 0.0),
        dropout=float(params["dropout"] or 0.0),
    )


def _outputs(data: TrainingData, centre: float, spread: float) -> np.ndarray:
    """Targets (n_rows, n_outputs) float32 as the network's loss takes them."""
    if data.kind == "multiclass":
        return np.asarray(np.eye(data.n_classes, dtype=np.float32)[data.y])
    return ((data.y - centre) / spread).astype(np.float32)[:, None]


def _averaged(old: np.ndarray, new: np.ndarray, keep: float) -> np.ndarray:
    return np.asarray(np.float32(keep) * old + np.float32(1.0 - keep) * new)


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
    """A step costs what its calls, its weights and its rows do (measured with 400 to 40,000 rows of 20 to 3,000 columns)."""
    defaults, values = _defaults(shape), shape.kind == "regression"
    batch, width = int(defaults["batch_size"] or 1), int(defaults["width"] or 1)
    n_weights = width * (shape.dense_columns + width)
    a_row = n_weights * 8e-11 + width * (2e-8 if values else 1.2e-8)
    epochs = int(defaults["epochs"] or 1) if values else _EPOCHS_EXPECTED
    return 0.05 + epochs * shape.n_rows / batch * (1.2e-4 + n_weights * 5e-9 + batch * a_row)


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
