"""The network as a learner: what the clock, steps that are too long and models of an earlier version do to it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.models._network import Network
from mle_star.engine.models.mlp import FittedNetwork
from mle_star.engine.plugins import EarlyStopping, FittedModel, ParamValue, TrainingData
from mle_star.engine.shape import DataShape
from mle_star.engine.task import resolve_metric


def fit(n_rows: int, budget: float | Deadline, rounds: int | None = None, **params: ParamValue) -> FittedModel:
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(n_rows, 20)).astype(np.float32)).add_prefix("f")
    y = X["f0"].to_numpy(np.float64) * 3.0 + np.sin(2.0 * X["f1"].to_numpy(np.float64))
    model = registry.model("mlp")
    defaults = model.defaults(DataShape("regression", n_rows, 20, 0, 0, 0, 0, 0, 0, 0.0, 0, 0.0, 0.0, 0.0))
    held = n_rows // 5
    early = EarlyStopping(X.iloc[:held], y[:held]) if rounds is None else None
    return model.fit(
        TrainingData(
            X=X.iloc[held:], y=y[held:], weight=None, kind="regression", n_classes=0,
            metric=resolve_metric("rmse", "regression"), params={**defaults, **params}, seed=0, threads=1,
            deadline=budget if isinstance(budget, Deadline) else Deadline(budget), early=early, rounds=rounds,
        )
    )  # fmt: skip


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Parts of the training at which steps were taken."""
    seen: list[float] = []
    step = Network.step

    def watched(self: Network, rows: Any, y: Any, weight: Any, progress: float) -> None:
        seen.append(progress)
        step(self, rows, y, weight, progress)

    monkeypatch.setattr(Network, "step", watched)
    return seen


@pytest.mark.parametrize("rounds", [None, 400])
def test_a_clock_that_is_too_short_brings_the_learning_rate_down_before_it_ends(
    course: list[float], rounds: int | None
) -> None:
    fitted = fit(4_000, 0.6, rounds, epochs=400)
    assert fitted.cut
    assert fitted.rounds is not None
    assert fitted.rounds < 400
    assert 0.85 < course[-1] < 1.0


def test_a_slow_first_epoch_does_not_cut_the_fit(monkeypatch: pytest.MonkeyPatch, course: list[float]) -> None:
    step = Network.step

    def slow_at_first(self: Network, rows: Any, y: Any, weight: Any, progress: float) -> None:
        if not course:
            time.sleep(0.5)
        step(self, rows, y, weight, progress)

    monkeypatch.setattr(Network, "step", slow_at_first)
    fitted = fit(300, 10.0, rounds=50)
    assert (fitted.rounds, fitted.cut) == (50, False)


def test_with_time_enough_a_fit_is_whole_and_the_clock_has_no_say(course: list[float]) -> None:
    first, again = fit(1_000, 300.0), fit(1_000, 600.0)
    assert not first.cut
    half = len(course) // 2
    assert course[:half] == course[half:]
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(50, 20)).astype(np.float32)).add_prefix("f")
    assert np.array_equal(first.predict(rows), again.predict(rows))


def test_a_whole_fit_that_ends_with_the_clock_is_not_cut(course: list[float]) -> None:
    class EndsWithTheLastStep(Deadline):
        def remaining(self) -> float:
            return 0.0 if course and course[-1] > 0.97 else 300.0

    fitted = fit(2_000, EndsWithTheLastStep(300.0), rounds=3)
    assert (fitted.rounds, fitted.cut) == (3, False)


def test_steps_that_are_far_too_long_are_a_failure_with_a_reason_not_a_prediction() -> None:
    with pytest.raises(FloatingPointError, match="diverged"):
        fit(500, 60.0, rounds=5, learning_rate=1e30)


def test_a_network_saved_before_there_was_a_choice_of_activations_still_predicts() -> None:
    state = {name: value for name, value in vars(fit(300, 60.0, rounds=2)).items() if name != "activation"}
    old = FittedNetwork.__new__(FittedNetwork)
    old.__dict__.update(state)
    rows = pd.DataFrame(np.ones((3, 20), dtype=np.float32)).add_prefix("f")
    assert np.isfinite(old.predict(rows)).all()
    # With two of several classes present the library had one output.
    old.kind = "multiclass"
    chances = old.predict(rows)
    assert chances.shape == (3, 2)
    assert chances.sum(axis=1) == pytest.approx(1.0)
