"""What is asked for is what is aimed at: errors in proportion, errors of logarithms, and bounds from all targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution, place
from mle_star.engine.ensembling import strategies_for
from mle_star.engine.plugins import FitContext, ParamDict, PostTransform
from mle_star.engine.solution import Block
from opened import generated_table, open_experiment


def test_strategies_that_aim_at_chances_are_tried_last_where_labels_or_medians_are_scored(tmp_path: Path) -> None:
    for metric, kind, first in (
        ("f1", "binary", "mean"),
        ("mae", "regression", "mean"),
        ("log_loss", "binary", "blend"),
    ):
        folder = tmp_path / metric
        folder.mkdir()
        keys = [one.key for one in strategies_for(open_experiment(folder, generated_table(kind), metric=metric))]
        assert keys[0] == first
        assert (keys.index("greedy") < keys.index("blend")) is (first != "blend")


def predicted_for(metric: str, tmp_path: Path, frame: pd.DataFrame, learner: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and out-of-fold predictions (n_rows,) of a learner's default under a metric."""
    folder = tmp_path / metric
    folder.mkdir()
    experiment = open_experiment(folder, frame, metric=metric)
    evaluation = experiment.evaluator.evaluate(default_solution(learner, experiment.shape), Deadline(60))
    assert evaluation.oof is not None
    return experiment.dataset.y, evaluation.oof[:, 0]


@pytest.mark.parametrize("learner", ["dummy", "lightgbm", "xgboost"])
def test_errors_in_proportion_want_lower_predictions_than_the_median(tmp_path: Path, learner: str) -> None:
    frame = generated_table("regression", 400)
    frame["y"] = np.exp(0.8 * frame["y"])
    scores = {}
    for metric in ("mae", "mape"):
        truth, predicted = predicted_for(metric, tmp_path, frame, learner)
        scores[metric] = float(np.mean(np.abs(truth - predicted) / truth))
    assert scores["mape"] < 0.97 * scores["mae"]


@pytest.mark.parametrize("learner", ["linear", "lightgbm"])
def test_errors_of_logarithms_are_fitted_as_such(tmp_path: Path, learner: str) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(1_000, 3)), columns=list("abc"))
    # A noise that logarithms see evenly; capped, so that the skew alone would not ask for them.
    frame["y"] = np.exp(frame["a"] + 1.5 * random.normal(size=1_000)).clip(0.0, 3.0)
    scores = {}
    for metric in ("rmse", "rmsle"):
        truth, predicted = predicted_for(metric, tmp_path, frame, learner)
        errors = np.log1p(truth) - np.log1p(np.maximum(predicted, 0.0))
        scores[metric] = float(np.sqrt(np.mean(np.square(errors))))
    assert scores["rmsle"] < scores["rmse"]


def test_a_class_of_few_rows_does_not_end_early_stopping(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(600, 3)), columns=list("abc"))
    labels = np.where(frame["a"] + random.normal(size=600) > 0, "one", "two").astype(object)
    labels[[*range(0, 600, 50)]] = [f"rare_{number // 2}" for number in range(12)]
    experiment = open_experiment(tmp_path, frame.assign(y=labels), metric="log_loss")
    evaluation = experiment.evaluator.evaluate(default_solution("lightgbm", experiment.shape), Deadline(60))
    assert evaluation.failure is None
    # A fit that is not stopped takes hundreds of rounds.
    assert max(evaluation.rounds) < 100


def test_the_range_of_known_targets_is_that_of_all_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    component = registry.component("post", "clip_to_range")

    def fit_post(prediction: np.ndarray, y: np.ndarray, params: ParamDict, context: FitContext) -> PostTransform:
        seen.append(len(y))
        assert component.fit_post is not None
        return component.fit_post(prediction, y, params, context)

    monkeypatch.setitem(registry.components("post"), "clip_to_range", replace(component, fit_post=fit_post))
    experiment = open_experiment(tmp_path, generated_table("regression", 300))
    for learner in ("linear", "lightgbm"):
        clipped = place(default_solution(learner, experiment.shape), Block.of("post", "clip_to_range"))
        assert experiment.evaluator.evaluate(clipped, Deadline(60)).failure is None
    assert sorted(seen) == sorted([len(fold.train) for fold in experiment.evaluator.folds] * 2)
