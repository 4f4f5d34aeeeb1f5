"""What keeps a large table in bounds: rows a learner needs, tables that are let go, predictions in parts, time shared by folds."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import evaluate, final_model, registry
from mle_star.engine.affordable import can_be_used
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.evaluate import Evaluator
from mle_star.engine.evaluation import FoldPlan, fit_seconds
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen, fit_final
from mle_star.engine.leaderboard import leaderboard
from mle_star.engine.models import _pace
from mle_star.engine.pipeline import TrainingRows, fit_solution
from mle_star.engine.plugins import FittedModel, TrainingData
from opened import generated_table, open_experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return open_experiment(tmp_path, generated_table("binary"), holdout="none")


def watched(monkeypatch: pytest.MonkeyPatch, key: str, **changes: Any) -> list[TrainingData]:
    """Record what a learner's fits are given."""
    model = registry.models()[key]
    seen: list[TrainingData] = []

    def fit(data: TrainingData) -> FittedModel:
        seen.append(data)
        return model.fit(data)

    monkeypatch.setitem(registry.models(), key, replace(model, fit=fit, **changes))
    return seen


def test_a_learner_that_needs_no_more_rows_gets_a_sample_of_them(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = watched(monkeypatch, "linear", most_rows=120)
    members = [default_solution("linear", experiment.shape), default_solution("lightgbm", experiment.shape)]
    evaluations = [experiment.evaluator.evaluate(solution, Deadline(30)) for solution in members]
    fits.clear()
    choice = Chosen("mean", tuple(evaluations), (0.5, 0.5), evaluations[0].scores)
    model = fit_final(experiment, choice, np.arange(experiment.dataset.n_rows), Deadline(30))
    assert [len(data.y) for data in fits] == [120]
    assert [member.n_rows for member in model.members] == [120, 300]
    assert model.n_rows == experiment.dataset.n_rows
    # What the sampled fit is foreseen to take does not grow with rows it never sees.
    assert evaluations[0].growth == pytest.approx(evaluations[1].growth * 120 / 300)


def test_members_share_their_transforms_and_tables_go_when_nobody_waits_for_them(experiment: Experiment) -> None:
    solutions = [default_solution(learner, experiment.shape) for learner in ("linear", "elastic_net", "lightgbm")]
    dataset = experiment.dataset
    positions = np.arange(dataset.n_rows)

    def rows(*waiting: Any) -> TrainingRows:
        return TrainingRows(experiment.evaluator.setting, dataset.table, dataset.y, positions, 2, Deadline(60), waiting)

    together = rows(*solutions)
    fitted = [fit_solution(together, solution) for solution in solutions]
    assert fitted[0].transforms == fitted[1].transforms
    assert all(one is other for one, other in zip(fitted[0].transforms, fitted[1].transforms, strict=True))
    assert fitted[0].adapter is fitted[1].adapter is not fitted[2].adapter
    assert not together._after
    for solution, shared in zip(solutions, fitted, strict=True):
        alone = fit_solution(rows(solution), solution)
        np.testing.assert_array_equal(alone.predict_table(dataset.table), shared.predict_table(dataset.table))


def test_rows_are_predicted_alike_in_parts_and_at_once(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = experiment.evaluator.evaluate(default_solution("linear", experiment.shape), Deadline(30))
    choice = Chosen("single", (evaluation,), (1.0,), evaluation.scores)
    model = fit_final(experiment, choice, np.arange(experiment.dataset.n_rows), Deadline(30))
    rows = generated_table("binary", 100, seed=7).drop(columns="y")
    at_once = model.predict(rows)
    monkeypatch.setattr(final_model, "_ROWS_AT_ONCE", 7)
    pd.testing.assert_frame_equal(model.predict(rows), at_once)
    assert list(model.predict(rows.iloc[:0]).columns) == list(at_once.columns)


def test_folds_fitted_side_by_side_get_the_same_time_and_leave_some_to_predict(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_s: list[float] = []
    model = registry.models()["linear"]

    def fit(data: TrainingData) -> FittedModel:
        left_s.append(data.deadline.remaining())
        return model.fit(data)

    monkeypatch.setitem(registry.models(), "linear", replace(model, fit=fit))
    three = Evaluator(experiment, FoldPlan(3))
    assert three.evaluate(default_solution("linear", experiment.shape), Deadline(60)).failure is None
    first, second, last = left_s
    assert max(first, second) <= 30 < last < 50, (
        "two of three folds at once have half of the time, the last what they left"
    )
    assert abs(first - second) < 5


def test_predictions_that_leave_memory_come_back_from_the_cache(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_KNOWN_BYTES", 1)
    solutions = [default_solution(learner, experiment.shape) for learner in ("linear", "lightgbm")]
    computed = [experiment.evaluator.evaluate(solution, Deadline(30)) for solution in solutions]
    assert len(experiment.evaluator._known) == 1
    for solution, evaluation in zip(solutions, computed, strict=True):
        again = experiment.evaluator.recall(solution)
        assert again is not None
        assert evaluation.oof is not None
        np.testing.assert_array_equal(again.oof, evaluation.oof)


@pytest.mark.parametrize(("sealed", "fits"), [(0.02, 0.98), (0.2, 1.8)])
def test_a_second_final_fit_is_planned_where_the_sealed_rows_are_worth_it(
    tmp_path: Path, sealed: float, fits: float
) -> None:
    opened = open_experiment(tmp_path, generated_table("regression", 500), holdout=sealed)
    assert opened.final_fits == pytest.approx(fits, abs=0.01)


def test_under_time_order_the_newest_rows_are_always_worth_a_second_fit(tmp_path: Path) -> None:
    frame = generated_table("regression", 500)
    frame["day"] = pd.date_range("2024-01-01", periods=len(frame), freq="D").astype(str)
    opened = open_experiment(tmp_path, frame, holdout=0.02, time_column="day")
    assert opened.final_fits == opened.fewest_final_fits > 1.9


@pytest.mark.parametrize(("sealed", "fewest"), [(0.1, 0.9), (0.3, 1.7)])
@pytest.mark.slow
def test_an_ensemble_may_be_fitted_once_where_most_rows_are_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: float, fewest: float
) -> None:
    opened = open_experiment(tmp_path, generated_table("regression", 500), holdout=sealed)
    assert opened.fewest_final_fits == pytest.approx(fewest, abs=0.01)
    build_baselines(opened, Deadline(30), ["lightgbm", "linear"])
    members = [ranked.evaluation for ranked in leaderboard(opened)[:2]]
    needed_s = fit_seconds(members, fewest)
    for left_s, expected in ((1.2 * needed_s, True), (needed_s, False)):
        monkeypatch.setattr(Experiment, "seconds_for_fits", left_s)
        assert can_be_used(opened, members) is expected


def test_many_columns_ask_boosters_for_a_quicker_pace_and_fewer_bins(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = replace(experiment.shape, n_numeric=5_000)
    for learner in ("lightgbm", "xgboost"):
        model = registry.model(learner)
        assert model.defaults(wide)["learning_rate"] > model.defaults(experiment.shape)["learning_rate"]  # type: ignore[operator]
        assert model.cost(wide) < 0.5 * model.cost(experiment.shape) * 5_000 / experiment.shape.n_columns
    # Every booster takes the number of bins it is told.
    monkeypatch.setattr(_pace, "_MANY_COLUMNS", 2)
    for learner in ("lightgbm", "xgboost", "catboost"):
        evaluation = experiment.evaluator.evaluate(default_solution(learner, experiment.shape), Deadline(60))
        assert evaluation.failure is None
        assert evaluation.mean > 0.9


def resident_mb() -> float:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps and returns freed memory this way")
def test_what_an_evaluation_leaves_behind_goes_back_to_the_system(experiment: Experiment) -> None:
    # Blocks below the size that is mapped on its own; those that stay keep the heap from shrinking by itself.
    blocks = [np.ones(12_000) for _ in range(3_000)]
    kept = blocks[::100]
    del blocks
    before = resident_mb()
    experiment.evaluator.evaluate(default_solution("dummy", experiment.shape), Deadline(30))
    assert resident_mb() < before - 150
    assert len(kept) == 30
