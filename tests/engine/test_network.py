"""The network: its gradient against differences of the loss, its plain layers, its schedule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine.models._network import Activation, Loss, Network, Recipe, activate, falling_four_times, steady
from scipy.special import expit, log_softmax

N_ROWS, N_INPUTS = 24, 5
OUTPUTS: dict[Loss, int] = {"regression": 1, "binary": 1, "multiclass": 3}


def network_of(
    loss: Loss, activation: Activation = "selu", scaled_inputs: bool = True, dropout: float = 0.0, seed: int = 0
) -> Network:
    recipe = Recipe(loss, activation, 0.02, steady, scaled_inputs, 0.95, 0.0, dropout)
    return Network([N_INPUTS, 8, 8, OUTPUTS[loss]], recipe, np.random.default_rng(seed))


def batch(loss: Loss, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(N_ROWS, N_INPUTS)).astype(np.float32)
    if loss == "regression":
        y = rows[:, :1] - rows[:, 1:2] ** 2
    else:
        codes = np.digitize(rows[:, 0], [-0.4, 0.4] if loss == "multiclass" else [0.0])
        y = np.eye(3)[codes] if loss == "multiclass" else codes[:, None]
    return rows, y.astype(np.float32), random.uniform(0.5, 2.0, (N_ROWS, 1)).astype(np.float32)


def loss_at(network: Network, parameters: np.ndarray, rows: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The mean loss in double precision, by the plain layers."""
    signal = rows.astype(np.float64)
    weights, biases = network.layers(parameters)
    for layer, bias in zip(weights[:-1], biases[:-1], strict=True):
        signal = signal @ layer + bias
        activate(signal, network.recipe.activation)
    outcome = signal @ weights[-1] + biases[-1]
    if network.recipe.loss == "regression":
        losses = 0.5 * (outcome - y) ** 2
    elif network.recipe.loss == "binary":
        losses = -np.log(expit(np.where(y > 0, outcome, -outcome)))
    else:
        losses = -(y * log_softmax(outcome, axis=1)).sum(axis=1, keepdims=True)
    return float(np.mean(losses * weight))


@pytest.mark.parametrize("loss", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("activation", ["selu", "relu"])
@pytest.mark.parametrize("scaled_inputs", [True, False])
def test_the_gradient_is_that_of_the_loss(loss: Loss, activation: Activation, scaled_inputs: bool) -> None:
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
def test_steps_lower_the_loss(loss: Loss, dropout: float) -> None:
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


def test_dropout_keeps_the_size_of_a_signal_on_average() -> None:
    rows, y, weight = batch("regression")
    exact = network_of("regression").gradient(rows, y, weight).copy()
    network = network_of("regression", dropout=0.2)
    mean = np.mean([network.gradient(rows, y, weight).copy() for _ in range(4_000)], axis=0)
    last_bias = len(exact) - N_INPUTS - 1
    assert mean[last_bias] == pytest.approx(exact[last_bias], abs=0.25 * float(np.abs(exact).max()))
    assert np.corrcoef(mean, exact)[0, 1] > 0.8


@settings(max_examples=50, deadline=None)
@given(st.floats(-30.0, 30.0), st.sampled_from(["relu", "selu"]))
def test_an_activation_and_its_derivative_agree(at: float, activation: Activation) -> None:
    if abs(at) < 1e-3:
        return
    signal = np.array([[at - 1e-5, at, at + 1e-5]])
    derivative = activate(signal, activation)[0, 1]
    assert derivative == pytest.approx((signal[0, 2] - signal[0, 0]) / 2e-5, rel=1e-3, abs=1e-6)


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
