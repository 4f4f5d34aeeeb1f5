"""A multilayer perceptron in numpy: its parameters in one array, a step of Adam on a batch of rows, and the layers for prediction.

What is not textbook comes from RealMLP (Holzmüller, Grinsztajn and Steinwart 2024, "Better by Default", NeurIPS): weights start
with variance 1 and every layer divides by the root of its inputs, so that one learning rate suits any width; inputs may have a
scale each, which is learnt six times as fast; biases are learnt a tenth as fast; the learning rate may rise and fall four times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..task import TaskKind

Activation = Literal["relu", "selu"]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_SCALE_PACE, _BIAS_PACE = 6.0, 0.1
_MOMENTUM = 0.9
_TINY = 1e-8
_CYCLES = 4


def falling_four_times(progress: float) -> float:
    """Share of the learning rate at this part of the training (0 … 1): four times from 0 to 1 and back, each time for twice as
    long."""
    return 0.5 - 0.5 * math.cos(2.0 * math.pi * math.log2(1.0 + (2**_CYCLES - 1) * min(progress, 1.0)))


def steady(progress: float) -> float:
    """The learning rate stays."""
    return 1.0


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    schedule : callable
        Part of the training that is done (0 … 1) → factor of the learning rate.
    scaled_inputs : bool
        Whether every input has a scale that is learnt.
    variance_decay : float
        Of Adam's mean of squared gradients.
    weight_decay : float
        Part of a weight that goes at every step, per learning rate (decoupled; Loshchilov and Hutter 2019).
    dropout : float
        Share of the hidden units that is left out of a step.
    """

    kind: TaskKind
    activation: Activation
    learning_rate: float
    schedule: Callable[[float], float]
    scaled_inputs: bool
    variance_decay: float
    weight_decay: float
    dropout: float


class Network:
    """A network in training.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of every hidden layer, outputs.
    recipe : Recipe
        How it is trained.
    random : Generator
        Draws the first weights and what is left out.
    """

    def __init__(self, sizes: Sequence[int], recipe: Recipe, random: np.random.Generator) -> None:
        pairs = list(pairwise(sizes))
        self.recipe = recipe
        self._random = random
        self._gains = [np.float32(1.0 / math.sqrt(inputs)) for inputs, _ in pairs]
        shapes = [*pairs, *((outputs,) for _, outputs in pairs), (sizes[0],)]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        self._shapes, self._ends = shapes, [0, *(int(end) for end in ends)]
        self._n_layers, self._n_weights = len(pairs), int(ends[len(pairs) - 1])
        self.parameters = np.zeros(self._ends[-1], dtype=np.float32)
        self.parameters[: self._n_weights] = random.standard_normal(self._n_weights, dtype=np.float32)
        self.parameters[self._ends[-2] :] = 1.0
        self._pace = np.full(self._ends[-1], _BIAS_PACE, dtype=np.float32)
        self._pace[: self._n_weights] = 1.0
        self._pace[self._ends[-2] :] = _SCALE_PACE if recipe.scaled_inputs else 0.0
        self._gradient, self._mean, self._variance = (np.zeros_like(self.parameters) for _ in range(3))
        # Views of arrays that only ever change in place: making them at every step is work a small batch feels.
        self._values, self._slopes = self._parts(self.parameters), self._parts(self._gradient)
        self._steps = 0

    def _parts(self, values: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Views of an array of all parameters: weights, biases, scales of the inputs."""
        views = [
            values[start:end].reshape(shape)
            for (start, end), shape in zip(pairwise(self._ends), self._shapes, strict=True)
        ]
        return views[: self._n_layers], views[self._n_layers : -1], views[-1]

    def layers(self, parameters: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights (n_inputs, n_units) and biases (n_units,) of plain layers with the same outcome."""
        weights, biases, scales = self._parts(parameters)
        plain = [weight * gain for weight, gain in zip(weights, self._gains, strict=True)]
        plain[0] *= scales[:, None]
        return plain, [bias.copy() for bias in biases]

    def step(self, rows: np.ndarray, y: np.ndarray, weight: np.ndarray | None, progress: float) -> None:
        """Take one step of Adam down the loss of a batch (see `gradient`), at this part of the training (0 … 1)."""
        self.gradient(rows, y, weight)
        self._move(self.recipe.learning_rate * self.recipe.schedule(progress))

    def gradient(self, rows: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the gradient of the mean loss of a batch by the parameters; the next call uses the same memory.

        Half the squared error for values, the log loss for classes. Takes rows (n, n_inputs) float32, y (n, n_outputs) with one
        column per class where there are several, and weight (n, 1).
        """
        weights, biases, scales = self._values
        slopes, bias_slopes, scale_slopes = self._slopes
        signals, derivatives = [rows * scales if self.recipe.scaled_inputs else rows], []
        for layer in range(self._n_layers - 1):
            signal = signals[-1] @ weights[layer]
            signal *= self._gains[layer]
            signal += biases[layer]
            derivatives.append(self._activate(signal))
            signals.append(signal)
        outcome = signals[-1] @ weights[-1]
        outcome *= self._gains[-1]
        outcome += biases[-1]
        error = self._error(outcome, y)
        if weight is not None:
            error *= weight
        error /= np.float32(len(rows))
        for layer in reversed(range(self._n_layers)):
            np.sum(error, axis=0, out=bias_slopes[layer])
            error *= self._gains[layer]
            np.matmul(signals[layer].T, error, out=slopes[layer])
            if layer:
                error = error @ weights[layer].T
                error *= derivatives[layer - 1]
            elif self.recipe.scaled_inputs:
                error = error @ weights[0].T
                error *= rows
                np.sum(error, axis=0, out=scale_slopes)
        return self._gradient

    def _activate(self, signal: np.ndarray) -> np.ndarray:
        """Apply the activation and what is left out to a signal, in its place; returns the derivative of both."""
        activate(signal, self.recipe.activation)
        derivative = slope(signal, self.recipe.activation)
        if self.recipe.dropout > 0.0:
            kept = self._random.random(signal.shape, dtype=np.float32) >= self.recipe.dropout
            mask = kept.astype(np.float32)
            mask /= np.float32(1.0 - self.recipe.dropout)
            signal *= mask
            derivative *= mask
        return derivative

    def _error(self, outcome: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Derivative of the loss by the outcome, up to a factor."""
        from scipy.special import expit, softmax

        if self.recipe.kind == "regression":
            return np.asarray(outcome - y)
        return np.asarray((expit(outcome) if self.recipe.kind == "binary" else softmax(outcome, axis=1)) - y)

    def _move(self, rate: float) -> None:
        """One step of Adam (Kingma and Ba 2015) along the gradient."""
        self._steps += 1
        kept = self.recipe.variance_decay
        gradient, mean, variance = self._gradient, self._mean, self._variance
        mean *= np.float32(_MOMENTUM)
        mean += np.float32(1.0 - _MOMENTUM) * gradient
        variance *= np.float32(kept)
        gradient *= gradient
        gradient *= np.float32(1.0 - kept)
        variance += gradient
        spread = np.sqrt(variance, out=gradient)
        spread *= np.float32(1.0 / math.sqrt(1.0 - kept**self._steps))
        spread += np.float32(_TINY)
        move = np.divide(mean, spread, out=gradient)
        move *= self._pace
        move *= np.float32(rate / (1.0 - _MOMENTUM**self._steps))
        if self.recipe.weight_decay > 0.0:
            self.parameters[: self._n_weights] *= np.float32(1.0 - rate * self.recipe.weight_decay)
        self.parameters -= move


def activate(signal: np.ndarray, activation: Activation) -> None:
    """Apply an activation in place."""
    if activation == "relu":
        np.maximum(signal, 0.0, out=signal)
        return
    grown = np.minimum(signal, 0.0)
    np.expm1(grown, out=grown)
    grown *= _SELU_ALPHA
    np.maximum(signal, 0.0, out=signal)
    signal += grown
    signal *= _SELU_SCALE


def slope(activated: np.ndarray, activation: Activation) -> np.ndarray:
    """Return the derivative of an activation, from its value."""
    one = activated.dtype.type(1.0)
    if activation == "relu":
        return np.asarray(activated > 0.0, dtype=activated.dtype)
    return np.asarray(np.where(activated < 0.0, activated + one * _SELU_SCALE * _SELU_ALPHA, one * _SELU_SCALE))
