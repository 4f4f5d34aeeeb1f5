"""Evaluation: leak-proof, cached by content, typed failures, on the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution, place
from mle_star.engine.evaluate import Evaluator
from mle_star.engine.evaluation import Evaluation, FoldPlan
from mle_star.engine.experiment import Experiment
from mle_star.engine.plugins import EstimatorModel, FittedModel, Needs, TrainingData
from mle_star.engine.side_by_side import SideBySide
from mle_star.engine.solution import Block, Solution
from opened import generated_table, open_experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return open_experiment(tmp_path, generated_table("binary"))


def test_every_development_row_gets_one_out_of_fold_prediction(experiment: Experiment) -> None:
    evaluation = experiment.evaluator.evaluate(default_solution("linear", experiment.shape), Deadline(30))
    assert evaluation.failure is None
    assert len(evaluation.scores) == experiment.plan.n_folds
    assert evaluation.oof is not None
    covered = ~np.isnan(evaluation.oof).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(covered), experiment.evaluator.covered)
    np.testing.assert_allclose(evaluation.oof[covered].sum(axis=1), 1.0, atol=1e-5)
    assert evaluation.mean > 0.9


def test_an_evaluation_is_computed_once_even_across_runs(tmp_path: Path) -> None:
    frame = generated_table("regression")
    first = open_experiment(tmp_path, frame)
    solution = default_solution("lightgbm", first.shape)
    computed = first.evaluator.evaluate(solution, Deadline(30))
    second = open_experiment(tmp_path, frame)
    assert second.run.run_id != first.run.run_id
    reused = second.evaluator.evaluate(solution, Deadline(30))
    assert reused.cached
    assert not computed.cached
    assert reused.scores == computed.scores


def test_a_cached_evaluation_charges_the_clock_what_it_cost(tmp_path: Path) -> None:
    frame = generated_table("regression")
    solution = default_solution("lightgbm", open_experiment(tmp_path, frame).shape)
    cost = open_experiment(tmp_path, frame).evaluator.evaluate(solution, Deadline(30)).seconds
    deadline = Deadline(30)
    open_experiment(tmp_path, frame).evaluator.evaluate(solution, deadline)
    assert deadline.elapsed() >= cost


def test_other_data_seed_or_plan_never_share_a_cache_entry(tmp_path: Path) -> None:
    frame = generated_table("regression")
    base = open_experiment(tmp_path, frame)
    solution = default_solution("linear", base.shape)
    base.evaluator.evaluate(solution, Deadline(30))
    changed = frame.copy()
    changed.loc[0, "x1"] += 1.0
    assert open_experiment(tmp_path, changed).evaluator.recall(solution) is None
    assert open_experiment(tmp_path, frame, seed=1).evaluator.recall(solution) is None
    assert open_experiment(tmp_path, frame, metric="mae").evaluator.recall(solution) is None
    assert Evaluator(base, FoldPlan(3)).recall(solution) is None
    assert open_experiment(tmp_path, frame).evaluator.recall(solution) is not None


def test_columns_that_a_block_adds_are_in_the_estimate(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("regression", 20_000))
    in_bins = default_solution("linear", experiment.shape)
    straight = place(in_bins, Block.of("encode", "standard"))
    assert experiment.evaluator.costs.estimate(in_bins) > 2.0 * experiment.evaluator.costs.estimate(straight)


def test_validation_targets_never_reach_the_fit(tmp_path: Path) -> None:
    """Scrambling the targets of one fold's validation rows must not change that fold's predictions."""
    frame = generated_table("regression")
    experiment = open_experiment(tmp_path, frame)
    fold = experiment.evaluator.folds[0]
    blocks = [
        Block.of("clean", "impute_median"),
        Block.of("encode", "target_mean"),
        Block.of("encode", "standard"),
        Block.of("select", "mutual_information"),
        Block.of("target", "yeo_johnson"),
        Block.of("model", "lightgbm"),
        Block.of("post", "clip_to_range"),
    ]
    solution = Solution.of(blocks)
    plan = SideBySide(1, (1,) * len(experiment.evaluator.folds))
    before = experiment.evaluator._one_fold(solution, 0, plan, Deadline(60), _never())
    scrambled = experiment.dataset.y.copy()
    scrambled[fold.valid] = np.random.default_rng(1).normal(1e3, 1e3, len(fold.valid))
    other = replace_dataset(experiment, scrambled)
    after = other.evaluator._one_fold(solution, 0, plan, Deadline(60), _never())
    np.testing.assert_array_equal(before.prediction, after.prediction)
    assert before.score != after.score


def _never() -> object:
    import threading

    return threading.Event()


def replace_dataset(experiment: Experiment, y: np.ndarray) -> Experiment:
    return replace(experiment, dataset=replace(experiment.dataset, y=y))


class _Broken:
    def fit(self, data: TrainingData) -> EstimatorModel:
        raise RuntimeError("no such kernel\nsecond line")


def _slow(data: TrainingData) -> EstimatorModel:
    time.sleep(20)
    raise AssertionError("it should have been left behind")


def _without_numbers(data: TrainingData) -> EstimatorModel:
    class Nothing:
        def predict(self, X: object) -> np.ndarray:
            return np.full(len(X), np.nan)  # type: ignore[arg-type]

    return EstimatorModel(Nothing(), "regression")


def _out_of_memory(data: TrainingData) -> EstimatorModel:
    raise MemoryError


@pytest.mark.parametrize(
    ("fit", "kind", "said"),
    [
        (_Broken().fit, "error", "RuntimeError: no such kernel"),
        (_without_numbers, "invalid", "not finite"),
        (_out_of_memory, "memory", "fewer rows"),
        (_slow, "timeout", "did not finish"),
    ],
)
def test_a_failure_has_a_type_and_a_sentence_and_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: object, kind: str, said: str
) -> None:
    experiment = open_experiment(tmp_path, generated_table("regression"))
    broken = replace(registry.model("linear"), key="broken", fit=fit, needs=Needs(), cost=lambda shape: 0.01)
    monkeypatch.setitem(registry.models(), "broken", broken)
    started = time.monotonic()
    evaluation = experiment.evaluator.evaluate(Solution.of([Block.of("model", "broken")]), Deadline(1.0))
    assert evaluation.failure is not None
    assert evaluation.failure.kind == kind
    assert said in evaluation.failure.message
    assert evaluation.scores == ()
    assert np.isnan(evaluation.mean)
    assert not experiment.task.metric.better(evaluation.mean, 1e9)
    assert time.monotonic() - started < 5


def test_what_cannot_finish_is_not_started(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    heavy = replace(registry.model("linear"), key="heavy", fit=_slow, cost=lambda shape: 1000.0)
    monkeypatch.setitem(registry.models(), "heavy", heavy)
    started = time.monotonic()
    evaluation = experiment.evaluator.evaluate(Solution.of([Block.of("model", "heavy")]), Deadline(5.0))
    assert evaluation.failure is not None
    assert "not started" in evaluation.failure.message
    assert time.monotonic() - started < 1


@dataclass
class _Constant:
    """A fitted learner that says the clock cut it short."""

    n_outputs: int
    rounds: int | None = 1
    cut: bool = True

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.full((len(X), self.n_outputs), 1.0 / self.n_outputs)


@pytest.mark.parametrize(("later_budget_s", "taken"), [(59.3, True), (240.0, False)])
def test_what_the_clock_cut_is_taken_over_only_by_runs_with_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later_budget_s: float, taken: bool
) -> None:
    heavy = replace(
        registry.model("linear"), key="heavy", fit=lambda data: _Constant(data.n_classes), cost=lambda shape: 0.1
    )
    monkeypatch.setitem(registry.models(), "heavy", heavy)
    frame, solution = generated_table("binary"), Solution.of([Block.of("model", "heavy")])
    first = open_experiment(tmp_path, frame, budget_s=60.0)
    assert first.evaluator.evaluate(solution, Deadline(10)).cut
    later = open_experiment(tmp_path, frame, budget_s=later_budget_s)
    assert later.evaluator.evaluate(solution, Deadline(10)).cached is taken


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    frame = generated_table("multiclass")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = open_experiment(tmp_path / "a", frame)
    two = open_experiment(tmp_path / "b", frame)
    for learner in ("linear", "lightgbm", "extra_trees"):
        solution = default_solution(learner, one.shape)
        first = one.evaluator.evaluate(solution, Deadline(60))
        second = two.evaluator.evaluate(solution, Deadline(60))
        assert not second.cached
        assert first.scores == second.scores


def test_solutions_that_share_a_prefix_share_its_work(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    component = registry.component("clean", "impute_median")
    calls: list[int] = []

    def counted(*arguments: object) -> object:
        calls.append(1)
        return component.fit_table(*arguments)  # type: ignore[misc, arg-type]

    monkeypatch.setitem(registry.components("clean"), "impute_median", replace(component, fit_table=counted))
    prefix = [Block.of("clean", "impute_median"), Block.of("encode", "ordinal")]
    for learner in ("linear", "extra_trees"):
        experiment.evaluator.evaluate(Solution.of([*prefix, Block.of("model", learner)]), Deadline(60))
    assert len(calls) == experiment.plan.n_folds
    experiment.evaluator.forget_folds()
    later = experiment.evaluator.evaluate(Solution.of([*prefix, Block.of("model", "naive_bayes")]), Deadline(60))
    assert later.failure is None
    assert len(calls) == 2 * experiment.plan.n_folds


def test_a_fit_on_many_times_the_rows_takes_less_than_as_many_times_as_long_for_all_but_forests(
    experiment: Experiment,
) -> None:
    def times(learner: str, growth: float) -> float:
        fold = Evaluation(default_solution(learner, experiment.shape), (0.9,), None, 2.0, fold_seconds=(2.0,))
        return replace(fold, growth=growth).refit_seconds / replace(fold, growth=1.0).refit_seconds

    assert times("elastic_net", 1.5) == pytest.approx(1.5)
    assert 5.0 < times("elastic_net", 12.0) < 8.0
    assert times("random_forest", 12.0) == pytest.approx(12.0)


def test_boosting_takes_more_rounds_on_more_rows_and_the_time_for_them(experiment: Experiment) -> None:
    def refit(learner: str, growth: float) -> tuple[int | None, float]:
        solution = default_solution(learner, experiment.shape)
        fold = Evaluation(solution, (0.9,), None, 2.0, fold_seconds=(2.0,), rounds=(100,), growth=growth)
        return fold.refit_rounds, fold.refit_seconds

    rounds, seconds = zip(*(refit("lightgbm", growth) for growth in (1.0, 1.25, 4.0, 100.0)), strict=True)
    assert rounds == (100, 109, 174, 300)
    assert seconds[2] / seconds[0] > 4.0
    assert refit("mlp", 4.0)[0] == 110


def test_the_largest_folds_are_fitted_first_and_scores_keep_the_order_of_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = generated_table("regression", 400).assign(day=np.arange(400))
    experiment = open_experiment(tmp_path, frame, threads=1, time_column="day")
    folds, sizes = experiment.evaluator.folds, []
    linear = registry.model("linear")

    def fit(data: TrainingData) -> FittedModel:
        sizes.append(len(data.y))
        return linear.fit(data)

    monkeypatch.setitem(registry.models(), "linear", replace(linear, fit=fit))
    scored = experiment.evaluator.evaluate(default_solution("linear", experiment.shape), Deadline(60))
    assert sizes == sorted((len(fold.train) for fold in folds), reverse=True)
    assert scored.oof is not None
    metric, y = experiment.task.metric, experiment.dataset.y
    for fold, score in zip(folds, scored.scores, strict=True):
        assert metric.score(y[fold.valid], scored.oof[fold.valid].astype(np.float64)) == pytest.approx(score, rel=1e-5)


def test_the_largest_fold_has_the_time_that_its_rows_are_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = generated_table("regression", 400).assign(day=np.arange(400))
    experiment = open_experiment(tmp_path, frame, threads=1, time_column="day")
    linear, most = registry.model("linear"), max(len(fold.train) for fold in experiment.evaluator.folds)

    def fit(data: TrainingData) -> FittedModel:
        needed_s = 0.3 * len(data.y) / most
        time.sleep(min(needed_s, data.deadline.remaining()))
        return replace(linear.fit(data), cut=data.deadline.passed)

    monkeypatch.setitem(registry.models(), "linear", replace(linear, fit=fit))
    scored = experiment.evaluator.evaluate(default_solution("linear", experiment.shape), Deadline(1.6))
    assert scored.failure is None
    assert not scored.cut
