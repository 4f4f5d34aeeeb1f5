"""The network: its gradient against differences of the loss, its plain layers, its schedule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine.models._network import (
    Activation,
    Network,
    Recipe,
    activate,
    falling_four_times,
    slope,
    steady,
)
from mle_star.engine.task import TaskKind
from scipy.special import expit, log_softmax

N_ROWS, N_INPUTS = 24, 5
OUTPUTS: dict[TaskKind, int] = {"regression": 1, "binary": 1, "multiclass": 3}


def network_of(
    loss: TaskKind, activation: Activation = "selu", scaled_inputs: bool = True, dropout: float = 0.0, seed: int = 0
) -> Network:
    recipe = Recipe(loss, activation, 0.02, steady, scaled_inputs, 0.95, 0.0, dropout)
    return Network([N_INPUTS, 8, 8, OUTPUTS[loss]], recipe, np.random.default_rng(seed))


def batch(loss: TaskKind, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(N_ROWS, N_INPUTS)).astype(np.float32)
    if loss == "regression":
        y = rows[:, :1] - rows[:, 1:2] ** 2
    else:
        codes = np.digitize(rows[:, 0], [-0.4, 0.4] if loss == "multiclass" else [0.0])
        y = np.eye(3)[codes] if loss == "multiclass" else codes[:, None]
    return rows, y.astype(np.float32), random.uniform(0.5, 2.0, (N_ROWS, 1)).astype(np.float32)


def loss_at(
    network: Network,
    parameters: np.ndarray,
    rows: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    kept: np.ndarray | float = 1.0,
) -> float:
    """The mean loss in double precision, by the plain layers, with hidden signals times `kept`."""
    signal = rows.astype(np.float64)
    weights, biases = network.layers(parameters)
    for layer, bias in zip(weights[:-1], biases[:-1], strict=True):
        signal = signal @ layer + bias
        activate(signal, network.recipe.activation)
        signal *= kept
    outcome = signal @ weights[-1] + biases[-1]
    if network.recipe.kind == "regression":
        losses = 0.5 * (outcome - y) ** 2
    elif network.recipe.kind == "binary":
        losses = -np.log(expit(np.where(y > 0, outcome, -outcome)))
    else:
        losses = -(y * log_softmax(outcome, axis=1)).sum(axis=1, keepdims=True)
    return float(np.mean(losses * weight))


@pytest.mark.parametrize("loss", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("activation", ["selu", "relu"])
@pytest.mark.parametrize("scaled_inputs", [True, False])
def test_the_gradient_is_that_of_the_loss(loss: TaskKind, activation: Activation, scaled_inputs: bool) -> None:
    network = network_of(loss, activation, scaled_inputs)
    rows, y, weight = batch(loss)
    gradient = network.gradient(rows, y, weight).astype(np.float64)
    parameters = network.parameters.astype(np.float64)
    checked = len(parameters) if scaled_inputs else len(parameters) - N_INPUTS
    for number in range(0, checked, 3):
        shift = np.zeros_like(parameters)
        shift[number] = 1e-5
        up, down = (loss_at(network, parameters + side * shift, rows, y, weight) for side in (1.0, -1.0))
        assert gradient[number] == pytest.approx((up - down) / 2e-5, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("loss", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_steps_lower_the_loss(loss: TaskKind, dropout: float) -> None:
    network = network_of(loss, dropout=dropout)
    rows, y, weight = batch(loss)
    before = loss_at(network, network.parameters, rows, y, weight)
    for _ in range(300):
        network.step(rows, y, weight, 0.5)
    assert loss_at(network, network.parameters, rows, y, weight) < 0.5 * before


def test_without_scales_of_inputs_these_stay_and_the_rest_moves() -> None:
    network = network_of("binary", scaled_inputs=False)
    before = network.parameters.copy()
    for _ in range(5):
        network.step(*batch("binary"), 0.5)
    moved = network.parameters != before
    assert not moved[-N_INPUTS:].any()
    assert moved[:-N_INPUTS].mean() > 0.9


class Again(np.random.Generator):
    """Draws the same numbers every time it is asked for as many."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, size: object = None, **options: object) -> np.ndarray:  # type: ignore[override]
        return np.random.default_rng(5).random(size, **options)  # type: ignore[call-overload, no-any-return]


def test_the_gradient_with_units_left_out_is_that_of_the_units_that_are_there() -> None:
    rows, y, weight = batch("regression")
    recipe = Recipe("regression", "selu", 0.02, steady, True, 0.95, 0.0, 0.4)
    network = Network([N_INPUTS, 8, 8, 1], recipe, Again())
    kept = (np.random.default_rng(5).random((N_ROWS, 8), dtype=np.float32) >= 0.4) / 0.6
    assert 0.4 < (kept > 0).mean() < 0.8
    gradient = network.gradient(rows, y, weight).astype(np.float64)
    parameters = network.parameters.astype(np.float64)
    for number in range(0, len(parameters), 3):
        shift = np.zeros_like(parameters)
        shift[number] = 1e-5
        up, down = (loss_at(network, parameters + side * shift, rows, y, weight, kept) for side in (1.0, -1.0))
        assert gradient[number] == pytest.approx((up - down) / 2e-5, rel=2e-3, abs=2e-4)


def test_a_step_is_adams_with_decay_of_weights_and_slower_biases() -> None:
    recipe = Recipe("binary", "relu", 0.02, lambda progress: 0.5, True, 0.95, 0.3, 0.0)
    network = Network([N_INPUTS, 8, 1], recipe, np.random.default_rng(0))
    n_weights = N_INPUTS * 8 + 8
    pace = np.concatenate([np.ones(n_weights), np.full(8 + 1, 0.1), np.full(N_INPUTS, 6.0)])
    expected = network.parameters.astype(np.float64)
    mean, variance = np.zeros_like(expected), np.zeros_like(expected)
    for number in range(1, 6):
        rows, y, weight = batch("binary", seed=number)
        gradient = network.gradient(rows, y, weight).astype(np.float64)
        mean = 0.9 * mean + 0.1 * gradient
        variance = 0.95 * variance + 0.05 * gradient**2
        expected[:n_weights] *= 1.0 - 0.01 * 0.3
        expected -= 0.01 * pace * (mean / (1 - 0.9**number)) / (np.sqrt(variance / (1 - 0.95**number)) + 1e-8)
        network.step(rows, y, weight, 0.5)
        assert network.parameters == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(-30.0, 30.0), st.sampled_from(["relu", "selu"]))
def test_an_activation_and_its_derivative_agree(at: float, activation: Activation) -> None:
    if abs(at) < 1e-3:
        return
    signal = np.array([[at - 1e-5, at, at + 1e-5]])
    activate(signal, activation)
    assert slope(signal, activation)[0, 1] == pytest.approx((signal[0, 2] - signal[0, 0]) / 2e-5, rel=1e-3, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 3.0))
def test_the_learning_rate_stays_within_its_bounds_and_ends_at_nothing(progress: float) -> None:
    assert -1e-12 <= falling_four_times(progress) <= 1.0 + 1e-12
    assert falling_four_times(max(progress, 1.0)) == pytest.approx(0.0, abs=1e-9)


def test_the_learning_rate_falls_to_nothing_four_times() -> None:
    at = np.linspace(0.0, 1.0, 2_001)
    rate = np.array([falling_four_times(float(part)) for part in at])
    ends = np.flatnonzero((rate[1:-1] < rate[:-2]) & (rate[1:-1] <= rate[2:])) + 1
    assert len(ends) == 3
    assert rate[0] == pytest.approx(0.0)
    assert rate[-1] == pytest.approx(0.0, abs=1e-9)
    assert rate.max() == pytest.approx(1.0, abs=1e-4)
