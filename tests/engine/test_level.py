"""Predictions learnt on a bent scale have the level of the target, where the metric asks for means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine.corrections import cross_fitted
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution, place
from mle_star.engine.evaluation import Evaluation
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen, fit_final
from mle_star.engine.level import level_factor
from mle_star.engine.solution import Block
from opened import open_experiment


def spending(n_rows: int = 1_500, noise: float = 0.8) -> pd.DataFrame:
    """A target whose logarithm is linear in two columns, with so much normal noise."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, n_rows))
    return pd.DataFrame({"a": a, "b": b, "y": np.exp(3.0 + 0.5 * a - 0.4 * b + noise * random.normal(size=n_rows))})


def of_logarithms(experiment: Experiment, learner: str = "linear") -> Evaluation:
    solution = place(default_solution(learner, experiment.shape), Block.of("target", "log1p"))
    evaluation = experiment.evaluator.evaluate(solution, Deadline(60))
    assert evaluation.failure is None
    return evaluation


def share_of_total(experiment: Experiment, evaluation: Evaluation) -> float:
    rows = experiment.evaluator.covered
    assert evaluation.oof is not None
    return float(evaluation.oof[rows, 0].sum() / experiment.dataset.y[rows].sum())


@pytest.mark.parametrize("learner", ["linear", "extra_trees", "lightgbm"])
def test_logarithms_give_the_total_and_not_the_median(tmp_path: Path, learner: str) -> None:
    experiment = open_experiment(tmp_path, spending())
    evaluation = of_logarithms(experiment, learner)
    assert evaluation.factors[0] > 1.15
    assert share_of_total(experiment, evaluation) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("asked", [{"metric": "mae"}, {"time_column": "a"}])
def test_nothing_is_levelled_for_medians_or_under_time_order(tmp_path: Path, asked: dict[str, str]) -> None:
    experiment = open_experiment(tmp_path, spending(), **asked)
    evaluation = of_logarithms(experiment)
    assert not evaluation.factors
    if "metric" in asked:
        assert share_of_total(experiment, evaluation) < 0.9


def test_a_fold_is_levelled_by_the_others_and_the_final_model_by_all(tmp_path: Path) -> None:
    frame = spending()
    experiment = open_experiment(tmp_path, frame, holdout="none")
    evaluation = of_logarithms(experiment)
    again = Evaluation.from_json(evaluation.to_json())
    assert again.factors == evaluation.factors != ()
    fold = experiment.evaluator.folds[0]
    y = experiment.dataset.y
    metric = experiment.task.metric
    assert evaluation.oof is not None
    assert metric.score(y[fold.valid], evaluation.oof[fold.valid].astype(np.float64)) == pytest.approx(
        evaluation.scores[0], rel=1e-5
    )
    # Targets of a fold have no part in its own level.
    folds, moved = experiment.evaluator.folds, y.copy()
    moved[fold.valid] *= 3.0
    found = [evaluation.oof[one.valid].astype(np.float64) for one in folds]
    before, after = (
        cross_fitted(of, folds, found, lambda y, values: (level_factor(y, values[:, 0]),), "random")[0]
        for of in (y, moved)
    )
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.array_equal(after[1], before[1])
    choice = Chosen.alone(evaluation)
    model = fit_final(experiment, choice, experiment.split.development, Deadline(60))
    predicted = model.predict(frame.drop(columns="y"))["prediction"]
    assert predicted.sum() / frame["y"].sum() == pytest.approx(1.0, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(0.2, 5.0), noise=st.floats(0.0, 1.0), n_rows=st.integers(1, 200), seed=st.integers(0, 20))
def test_a_factor_lies_between_one_and_the_ratio_of_the_totals(
    scale: float, noise: float, n_rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    prediction = random.uniform(1.0, 5.0, n_rows)
    y = scale * prediction * np.exp(noise * random.normal(size=n_rows))
    ratio, factor = y.sum() / prediction.sum(), level_factor(y, prediction)
    assert min(1.0, ratio) - 1e-9 <= factor <= max(1.0, ratio) + 1e-9


def test_what_chance_explains_is_no_reason_for_a_factor() -> None:
    random = np.random.default_rng(1)
    prediction = random.uniform(1.0, 5.0, 100)
    assert level_factor(prediction * np.exp(random.normal(size=100)) / np.exp(0.5), prediction) == pytest.approx(
        1.0, abs=0.05
    )
    assert level_factor(np.zeros(3), np.ones(3)) == level_factor(np.ones(3), np.zeros(3)) == 1.0


def test_squared_errors_never_become_more_by_a_factor_and_extreme_units_do_not_matter() -> None:
    random = np.random.default_rng(2)
    rare = np.where(random.random(1_000) < 0.05, random.uniform(500.0, 900.0, 1_000), 0.0)
    hits = np.where((rare == 0.0) & (random.random(1_000) < 0.02), 2_000.0, 0.0)
    prediction = np.where(rare > 0.0, rare, 0.5)
    assert (rare + hits).sum() > 1.5 * prediction.sum()
    assert level_factor(rare + hits, prediction) == 1.0
    good = random.uniform(1.0, 5.0, 300)
    y = 1.5 * good * np.exp(0.2 * random.normal(size=300))
    expected = level_factor(y, good)
    assert expected > 1.4
    for unit in (1e-170, 1e-9, 1e150):
        assert level_factor(unit * y, unit * good) == pytest.approx(expected)
    assert level_factor(np.full(3, 1e300), np.full(3, 1e-300)) == 1.0
