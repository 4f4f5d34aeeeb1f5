"""What target transforms and corrections of predictions are worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from component_tables import full_shape, make_context
from mle_star.engine import registry
from mle_star.engine.task import METRICS, Task, TaskKind, resolve_metric

LOG_LOSS = METRICS["log_loss"]


def fit_target(key: str, y: np.ndarray, kind: TaskKind, metric: str = "auto", **params: Any) -> Any:
    component = registry.component("target", key)
    assert component.fit_target is not None
    context = make_context(kind, len(y))
    context = replace(context, task=Task(kind, resolve_metric(metric, kind), context.task.classes))
    return component.fit_target(y, {**component.defaults, **params}, context)


def fit_post(key: str, prediction: np.ndarray, y: np.ndarray, kind: TaskKind, **params: Any) -> Any:
    component = registry.component("post", key)
    assert component.fit_post is not None
    return component.fit_post(prediction, y, {**component.defaults, **params}, make_context(kind, len(y)))


def overconfident(n_rows: int, sharpness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n_rows, 2) whose log odds are `sharpness` times the true ones, and labels."""
    rng = np.random.default_rng(5)
    odds = rng.normal(size=n_rows)
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    chance = 1 / (1 + np.exp(-sharpness * odds))
    return np.stack([1 - chance, chance], axis=1), y


@pytest.mark.parametrize("key", ["log1p", "yeo_johnson"])
def test_a_skewed_target_becomes_symmetric(key: str) -> None:
    y = np.exp(np.random.default_rng(0).normal(3, 1, 2000))
    fitted = fit_target(key, y, "regression").transform(y)
    skew = ((fitted - fitted.mean()) ** 3).mean() / fitted.std() ** 3
    assert abs(skew) < 0.2


def test_yeo_johnson_takes_negative_and_huge_values() -> None:
    y = -np.exp(np.random.default_rng(0).normal(20, 1, 500))
    transform = fit_target("yeo_johnson", y, "regression")
    np.testing.assert_allclose(transform.inverse(transform.transform(y).reshape(-1, 1))[:, 0], y, rtol=1e-6)


def test_predictions_of_a_positive_target_stay_positive() -> None:
    transform = fit_target("log1p", np.array([0.0, 5.0, 100.0]), "regression")
    assert transform.inverse(np.array([[-50.0]]))[0, 0] == 0.0


@pytest.mark.parametrize("unit", [1e-3, 1e-12, 1e-300])
def test_logarithms_bend_targets_far_below_one_as_they_bend_larger_ones(unit: float) -> None:
    y = np.exp(np.random.default_rng(0).normal(0, 1, 2000))
    y /= np.median(y)
    large, small = fit_target("log1p", y, "regression"), fit_target("log1p", unit * y, "regression")
    np.testing.assert_allclose(small.transform(unit * y), large.transform(y), rtol=1e-9)
    back = small.inverse(small.transform(unit * y).reshape(-1, 1))[:, 0]
    np.testing.assert_allclose(back / unit, y, rtol=1e-9)


def test_logarithms_are_as_they_stand_where_these_are_scored_or_a_target_is_negative() -> None:
    y = np.array([0.0, 0.001, 0.002, 0.1])
    for of, metric in ((y, "rmsle"), (y - 0.0005, "rmse"), (1_000.0 * y, "rmse")):
        np.testing.assert_array_equal(fit_target("log1p", of, "regression", metric).transform(of), np.log1p(of))


def test_class_weights_balance_the_classes_and_the_probabilities_come_back() -> None:
    y = np.array([0] * 90 + [1] * 10)
    transform = fit_target("class_weights", y, "binary", "log_loss", power=1.0)
    weights = transform.weights(y)
    assert weights[y == 0].sum() == pytest.approx(weights[y == 1].sum())
    # A learner that knows nothing predicts the weighted shares; the inverse must give the real ones.
    np.testing.assert_allclose(transform.inverse(np.array([[0.5, 0.5]])), [[0.9, 0.1]])


def test_a_class_without_training_rows_does_no_harm() -> None:
    transform = fit_target("class_weights", np.array([0] * 8 + [2] * 2), "multiclass")
    assert np.isfinite(transform.inverse(np.array([[0.5, 0.0, 0.5]]))).all()


@pytest.mark.parametrize("key", ["calibration_temperature", "calibration_isotonic"])
def test_calibration_lowers_the_log_loss_and_keeps_the_ranking(key: str) -> None:
    prediction, y = overconfident(4000)
    correction = fit_post(key, prediction[:2000], y[:2000], "binary")
    later, labels = prediction[2000:], y[2000:]
    assert LOG_LOSS.score(labels, correction.apply(later)) < LOG_LOSS.score(labels, later) - 0.05
    order = np.argsort(later[:, 1])
    assert (np.diff(correction.apply(later)[order, 1]) >= 0).all()


def test_the_temperature_is_found() -> None:
    prediction, y = overconfident(20_000, sharpness=4.0)
    assert fit_post("calibration_temperature", prediction, y, "binary").sharpness == pytest.approx(0.25, abs=0.02)


def test_class_shifts_correct_wrong_class_shares() -> None:
    rng = np.random.default_rng(2)
    y = rng.choice(3, 3000, p=[0.7, 0.2, 0.1])
    flat = np.full((3000, 3), 1 / 3)
    correction = fit_post("calibration_temperature", flat, y, "multiclass", shifts=True)
    np.testing.assert_allclose(correction.apply(flat)[0], np.bincount(y) / 3000, atol=0.01)


def test_isotonic_calibration_is_never_certain() -> None:
    chance = np.linspace(0.1, 0.9, 100)
    correction = fit_post(
        "calibration_isotonic", np.stack([1 - chance, chance], axis=1), (chance > 0.5).astype(np.int64), "binary"
    )
    corrected = correction.apply(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert ((corrected > 0.0) & (corrected < 1.0)).all()


def test_predictions_are_clipped_to_the_known_range_with_a_margin() -> None:
    y = np.array([10.0, 20.0])
    correction = fit_post("clip_to_range", y.reshape(-1, 1), y, "regression", margin=0.5)
    assert correction.apply(np.array([[1e9], [-1e9], [12.0]]))[:, 0].tolist() == [25.0, 5.0, 12.0]


def test_reasons_name_what_is_missing() -> None:
    shape = replace(full_shape("regression"), target_min=-3.0)
    assert "-3" in str(registry.component("target", "log1p").applies(shape))
    balanced = replace(full_shape("binary"), minority_share=0.48)
    assert "balanced" in str(registry.component("target", "class_weights").applies(balanced))
