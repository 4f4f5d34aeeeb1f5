"""The ensemble contract, checked on every registered strategy."""

from __future__ import annotations

import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine import registry
from mle_star.engine.ensembles.blend import FittedBlend
from mle_star.engine.plugins import Ensemble
from mle_star.engine.quick_scores import QuickLoss
from mle_star.engine.task import METRICS, Task, TaskKind, resolve_metric
from scipy.stats import rankdata, spearmanr

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
    if strategy.averages:
        np.testing.assert_allclose(fitted.combine(stack), np.tensordot(fitted.weights, stack, axes=1), rtol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("strategy", ["blend", "weights"])
def test_a_member_without_a_share_takes_no_part(strategy: str, kind: TaskKind) -> None:
    stack, y = members(kind)
    stack[-1] = stack[-1][::-1]  # the predictions of other rows
    fitted = STRATEGIES[strategy].fit(stack, y, task_of(kind), 0)
    assert fitted.weights is not None
    assert fitted.weights[-1] == 0.0
    expected = fitted.combine(stack)
    stack[-1] = np.nan
    np.testing.assert_array_equal(fitted.combine(stack), expected)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_blend_is_part_weights_part_stack_of_the_same_members(kind: TaskKind) -> None:
    task, share = (task_of(kind, "rmse"), 0.5) if kind == "regression" else (task_of(kind, "log_loss"), 0.75)
    stack, y = members(kind, n_rows=2_000)
    fresh, truth = members(kind, n_rows=2_000, seed=1)
    blend = STRATEGIES["blend"].fit(stack, y, task, 0)
    used = np.flatnonzero(np.asarray(blend.weights))
    halves = [STRATEGIES[key].fit(stack[used], y, task, 0).combine(fresh[used]) for key in ("weights", "stack_linear")]
    middle = (1.0 - share) * halves[0] + share * halves[1]
    if kind == "regression":
        np.testing.assert_allclose(blend.combine(fresh), middle, rtol=1e-9)
        return
    # The mean of independent opinions is more careful than all of them together allow: the temperature corrects that.
    sharp, careful = (task.metric.score(truth, prediction) for prediction in (blend.combine(fresh), middle))
    assert sharp < 0.98 * careful < 0.8 * task.metric.score(truth, halves[0])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_blend_of_the_members_that_have_a_share_is_the_same(kind: TaskKind) -> None:
    """The final model fits it on these members alone."""
    stack, y = members(kind, n_members=14, n_rows=600)
    task = task_of(kind)
    whole = STRATEGIES["blend"].fit(stack, y, task, 0)
    assert whole.weights is not None
    used = np.flatnonzero(whole.weights)
    assert len(used) < len(stack)
    part = STRATEGIES["blend"].fit(stack[used], y, task, 0)
    np.testing.assert_allclose(part.weights, np.asarray(whole.weights)[used], rtol=1e-12)
    np.testing.assert_allclose(part.combine(stack[used]), whole.combine(stack), rtol=1e-9)


def test_a_blend_does_not_turn_members_back_that_were_fitted_for_the_metric() -> None:
    """Chances of a rare class that are raised on purpose, and medians of a skewed target, stay what they are."""
    random = np.random.default_rng(0)
    rare = (random.random(4_000) < 0.1).astype(np.int64)
    odds = np.exp(random.normal(size=(3, 4_000)) + 2.0 * rare - 1.0)
    raised = np.stack([1.0 / (1.0 + odds), odds / (1.0 + odds)], axis=2)
    skewed = random.lognormal(sigma=1.0, size=4_000)
    medians = (1.0 + 0.1 * random.normal(size=(3, 4_000)))[:, :, None]
    for stack, y, task in (
        (raised, rare, task_of("binary", "balanced_accuracy")),
        (medians, skewed, task_of("regression", "mae")),
    ):
        blend, weights = (STRATEGIES[key].fit(stack, y, task, 0).combine(stack) for key in ("blend", "weights"))
        assert not task.metric.better(task.metric.score(y, weights), task.metric.score(y, blend))


@pytest.mark.parametrize("strategy", ["blend", "weights", "greedy", "mean"])
def test_no_more_than_eight_members_take_part(strategy: str) -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=500)
    stack = y[None, :, None] + random.normal(size=(20, 500, 1))
    fitted = STRATEGIES[strategy].fit(stack, y, task_of("regression"), 0)
    assert fitted.weights is not None
    assert 2 <= np.count_nonzero(fitted.weights) <= 8
    assert sum(fitted.weights) == pytest.approx(1.0)


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
    plain, other = (strategy.fit(each, y, task, 0).combine(each)[:, 1] for each in (stack, warped))
    np.testing.assert_array_equal(rankdata(plain), rankdata(other))


def test_rank_mean_labels_as_many_rows_as_its_members_do_and_keeps_the_order_of_ranks() -> None:
    random = np.random.default_rng(0)
    y = (random.random(5_000) < 0.1).astype(np.int64)
    odds = -2.5 + 2.5 * y + random.normal(size=(4, 5_000))
    positive = 1.0 / (1.0 + np.exp(-odds))
    stack = np.stack([1.0 - positive, positive], axis=2)
    fitted = STRATEGIES["rank_mean"].fit(stack, y, task_of("binary", "roc_auc"), 0)
    combined = fitted.combine(stack)[:, 1]
    ranks = rankdata(positive, axis=1).mean(axis=0)
    assert spearmanr(combined, ranks).statistic > 0.99999
    assert combined.mean() == pytest.approx(positive.mean(), abs=1e-3)
    assert (combined > 0.5).mean() == pytest.approx((positive.mean(axis=0) > 0.5).mean(), abs=2e-3)
    alone = [fitted.combine(stack[:, [row]])[0, 1] for row in range(20)]
    np.testing.assert_allclose(alone, combined[:20], rtol=1e-12)


def test_rank_mean_orders_rows_that_the_mean_does_not_tell_apart() -> None:
    positive = np.array([[0.5, 0.2], [0.1, 0.3], [0.1, 0.2]])
    stack = np.stack([1.0 - positive, positive], axis=2)
    combined = STRATEGIES["rank_mean"].fit(stack, np.array([0, 1]), task_of("binary", "roc_auc"), 0).combine(stack)
    assert combined[1, 1] > combined[0, 1]
    np.testing.assert_allclose(combined[:, 1], 0.7 / 3, atol=1e-5)


@pytest.mark.parametrize("metric", ["mape", "mae", "rmsle", "rmse"])
def test_the_mean_measures_members_against_the_best_constant_of_the_metric(metric: str) -> None:
    random = np.random.default_rng(0)
    y = np.exp(1.5 * random.normal(size=400))
    task = task_of("regression", metric)
    values = np.quantile(y, np.linspace(0.005, 0.995, 199))
    losses = [task.metric.score(y, np.full((400, 1), value)) for value in values]
    best = y * np.exp(0.1 * random.normal(size=400))
    room = min(losses) - task.metric.score(y, best[:, None])
    # As far behind as halves the share, going by the best constant there is.
    steps = np.linspace(0.0, 1.0, 2_001)
    behind = [task.metric.score(y, (best + step * (values[int(np.argmin(losses))] - best))[:, None]) for step in steps]
    step = steps[int(np.argmin(np.abs(np.array(behind) - behind[0] - 0.075 * room)))]
    other = best + step * (values[int(np.argmin(losses))] - best)
    shares = STRATEGIES["mean"].fit(np.stack([best, other])[:, :, None], y, task, 0).weights
    assert shares == pytest.approx((2 / 3, 1 / 3), abs=0.02)


@pytest.mark.parametrize(("metric", "kind"), METRIC_TASKS)
def test_quick_losses_are_the_metrics_own(metric: str, kind: TaskKind) -> None:
    task = task_of(kind, metric)
    stack, y = members(kind, n_members=3, n_rows=60, seed=4)
    stack = np.round(np.abs(stack), 1)
    for member in stack:
        score = task.metric.score(np.abs(y), member)
        assert QuickLoss(np.abs(y), task)(member) == pytest.approx(-score if task.metric.greater_is_better else score)


@pytest.mark.parametrize(("key", "n_members", "metric"), [("greedy", 24, "roc_auc"), ("stack_boosted", 8, "log_loss")])
def test_many_rows_and_classes_take_about_a_second(key: str, n_members: int, metric: str) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 7, 40_000)
    stack = random.random((n_members, len(y), 7), dtype=np.float32) + np.eye(7, dtype=np.float32)[y]
    stack /= stack.sum(axis=2, keepdims=True)
    task = Task("multiclass", resolve_metric(metric, "multiclass"), tuple("abcdefg"))
    start = time.process_time()
    STRATEGIES[key].fit(stack, y, task, 0)
    # Several times what it takes on an idle core: other work on the machine is no failure.
    assert time.process_time() - start < 4.0


def test_rows_of_a_class_that_no_fold_could_know_do_not_make_the_blend_careful() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(4, 0.3), 400)
    y = np.array([random.choice(4, p=row) for row in chances])
    opinions = chances * np.exp(random.normal(0.0, 0.3, (3, 400, 4)))
    stack = np.concatenate([opinions / opinions.sum(axis=2, keepdims=True), np.zeros((3, 400, 1))], axis=2)
    strange = y.copy()
    strange[:8] = 4
    task = Task("multiclass", resolve_metric("log_loss", "multiclass"), tuple("abcde"))
    usual = STRATEGIES["blend"].fit(stack[:, 8:], y[8:], task, 0)
    other = STRATEGIES["blend"].fit(stack, strange, task, 0)
    assert isinstance(usual, FittedBlend)
    assert isinstance(other, FittedBlend)
    assert usual.temperature is not None
    assert other.temperature is not None
    assert other.temperature.sharpness == pytest.approx(usual.temperature.sharpness, abs=0.02)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_mean_takes_the_best_few_each_by_how_near_it_is_to_the_best(kind: TaskKind) -> None:
    # Their noise grows so slowly that the first ones are nearly as good as each other.
    stack, y = members(kind, n_members=60, n_rows=1_000)
    stack, hopeless = stack[:12], np.roll(stack[-1:], 7, axis=1)
    task = task_of(kind)
    weights = STRATEGIES["mean"].fit(np.concatenate([hopeless, stack]), y, task, 0).weights
    assert weights is not None
    used = [weight for weight in weights if weight > 0.0]
    assert 4 <= len(used) <= 8
    assert weights[0] == 0.0
    gains = np.array([task.metric.gain(task.metric.score(y, member), 0.0) for member in stack])
    order = np.argsort(-gains)
    shares = np.array(weights[1:])[order]
    assert (np.diff(shares) <= 1e-12).all()
    assert shares[0] > shares[len(used) - 1] > 0.0


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_members_that_are_as_good_as_each_other_have_equal_shares_in_the_mean(kind: TaskKind) -> None:
    stack, y = members(kind, n_members=3, n_rows=400)
    four = np.repeat(stack[:1], 4, axis=0)
    assert STRATEGIES["mean"].fit(four, y, task_of(kind), 0).weights == (0.25,) * 4


@pytest.mark.parametrize(("behind", "n_used"), [(1.05, 5), (3.0, 2)])
def test_the_mean_gives_no_share_to_members_far_behind_only_to_have_four(behind: float, n_used: int) -> None:
    random = np.random.default_rng(0)
    y, error = random.normal(size=(2, 2_000))
    # All err together: a further member makes the average worse, a little or much.
    stack = np.stack([y + 0.5 * times * error for times in (1.0, 1.01, behind, 1.01 * behind, 1.02 * behind)])
    weights = STRATEGIES["mean"].fit(stack[:, :, None], y, task_of("regression"), 0).weights
    assert weights is not None
    assert [weight > 0.0 for weight in weights] == [True] * n_used + [False] * (5 - n_used)
