"""The ensemble contract, checked on every registered strategy."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine import registry
from mle_star.engine.plugins import Ensemble
from mle_star.engine.task import METRICS, Task, TaskKind, resolve_metric

STRATEGIES = registry.ensembles()
PAIRS = [
    pytest.param(strategy, kind, id=f"{key}-{kind}")
    for key, strategy in STRATEGIES.items()
    for kind in ("binary", "multiclass", "regression")
    if kind in strategy.tasks
]
OUTPUTS: dict[TaskKind, int] = {"binary": 2, "multiclass": 4, "regression": 1}


def task_of(kind: TaskKind, metric: str = "auto") -> Task:
    classes = () if kind == "regression" else tuple("abcd"[: OUTPUTS[kind]])
    return Task(kind, resolve_metric(metric, kind), classes)


def members(kind: TaskKind, n_members: int = 4, n_rows: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members of growing noise around the truth."""
    random = np.random.default_rng(seed)
    noise = np.linspace(1.0, 2.5, n_members)[:, None, None]
    if kind == "regression":
        y = 50.0 + 10.0 * random.normal(size=n_rows)
        return y[None, :, None] + 5.0 * noise * random.normal(size=(n_members, n_rows, 1)), y
    y = random.integers(0, OUTPUTS[kind], n_rows)
    scores = 1.5 * np.eye(OUTPUTS[kind])[y] + noise * random.normal(size=(n_members, n_rows, OUTPUTS[kind]))
    powers = np.exp(scores)
    return powers / powers.sum(axis=2, keepdims=True), y


@pytest.mark.parametrize(("strategy", "kind"), PAIRS)
def test_combines_any_number_of_fresh_rows(strategy: Ensemble, kind: TaskKind) -> None:
    stack, y = members(kind)
    fitted = strategy.fit(stack, y, task_of(kind), 0)
    fresh, _ = members(kind, n_rows=41, seed=1)
    combined = fitted.combine(fresh)
    assert combined.shape == (41, OUTPUTS[kind])
    assert np.isfinite(combined).all()
    np.testing.assert_allclose(fitted.combine(fresh[:, [5]]), combined[[5]], rtol=1e-9)
    if kind != "regression":
        assert (combined >= 0.0).all()
        np.testing.assert_allclose(combined.sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize(("strategy", "kind"), PAIRS)
def test_weights_are_shares_and_mean_what_they_say(strategy: Ensemble, kind: TaskKind) -> None:
    stack, y = members(kind)
    fitted = strategy.fit(stack, y, task_of(kind), 0)
    if fitted.weights is None:
        return
    assert len(fitted.weights) == len(stack)
    assert min(fitted.weights) >= 0.0
    assert sum(fitted.weights) == pytest.approx(1.0)
    np.testing.assert_allclose(fitted.combine(stack), np.tensordot(fitted.weights, stack, axes=1), rtol=1e-9)


@pytest.mark.parametrize(("strategy", "kind"), PAIRS)
def test_one_member_is_returned_as_it_is(strategy: Ensemble, kind: TaskKind) -> None:
    stack, y = members(kind, n_members=1)
    np.testing.assert_allclose(strategy.fit(stack, y, task_of(kind), 0).combine(stack), stack[0])


@pytest.mark.parametrize(("strategy", "kind"), PAIRS)
def test_beats_the_mean_member_on_fresh_rows(strategy: Ensemble, kind: TaskKind) -> None:
    task = task_of(kind)
    stack, y = members(kind, n_rows=1_000)
    fresh, truth = members(kind, n_rows=1_000, seed=1)
    combined = task.metric.score(truth, strategy.fit(stack, y, task, 0).combine(fresh))
    typical = float(np.mean([task.metric.score(truth, member) for member in fresh]))
    assert task.metric.better(combined, typical)


@pytest.mark.parametrize(("strategy", "kind"), PAIRS)
def test_is_deterministic_and_survives_dump_and_load(strategy: Ensemble, kind: TaskKind, tmp_path: Path) -> None:
    stack, y = members(kind)
    first, second = (strategy.fit(stack, y, task_of(kind), 5) for _ in range(2))
    np.testing.assert_array_equal(first.combine(stack), second.combine(stack))
    joblib.dump(first, tmp_path / "ensemble.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "ensemble.joblib").combine(stack), first.combine(stack))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@given(order=st.permutations(range(4)))
@settings(max_examples=8, deadline=None)
def test_optimised_weights_follow_their_members(kind: TaskKind, order: list[int]) -> None:
    stack, y = members(kind)
    weights = STRATEGIES["weights"].fit(stack, y, task_of(kind), 0).weights
    permuted = STRATEGIES["weights"].fit(stack[order], y, task_of(kind), 0).weights
    assert weights is not None
    assert permuted is not None
    np.testing.assert_allclose(permuted, np.array(weights)[order], atol=2e-3)


@given(order=st.permutations(range(4)))
@settings(max_examples=8, deadline=None)
def test_a_linear_stack_does_not_depend_on_the_order_of_members(order: list[int]) -> None:
    stack, y = members("regression")
    strategy, task = STRATEGIES["stack_linear"], task_of("regression")
    permuted = strategy.fit(stack[order], y, task, 0).combine(stack[order])
    np.testing.assert_allclose(permuted, strategy.fit(stack, y, task, 0).combine(stack), rtol=1e-6)


METRIC_TASKS = [(key, kind) for key, metric in METRICS.items() for kind in sorted(metric.tasks)]


@pytest.mark.parametrize(("metric", "kind"), METRIC_TASKS)
def test_greedy_is_never_worse_than_the_best_member_where_it_was_fitted(metric: str, kind: TaskKind) -> None:
    task = task_of(kind, metric)
    stack, y = members(kind, n_members=3, n_rows=80, seed=2)
    if kind == "regression":
        stack, y = np.abs(stack), np.abs(y)
    combined = task.metric.score(y, STRATEGIES["greedy"].fit(stack, y, task, 0).combine(stack))
    best = max(task.metric.gain(task.metric.score(y, member), 0.0) for member in stack)
    assert task.metric.gain(combined, 0.0) >= best - 1e-12


def test_rank_mean_reads_the_order_only() -> None:
    stack, y = members("binary")
    warped = stack.copy()
    warped[0, :, 1] = stack[0, :, 1] ** 3
    warped[0, :, 0] = 1.0 - warped[0, :, 1]
    strategy, task = STRATEGIES["rank_mean"], task_of("binary", "roc_auc")
    np.testing.assert_allclose(
        strategy.fit(warped, y, task, 0).combine(warped), strategy.fit(stack, y, task, 0).combine(stack), atol=1e-9
    )
