"""Where the metric rewards decisions, the class named is the one that scores best, and chances stay what they are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine import corrections
from mle_star.engine.corrections import correct, undo
from mle_star.engine.deadline import Deadline
from mle_star.engine.decision import decision_weights
from mle_star.engine.defaults import default_solution
from mle_star.engine.evaluation import Evaluation
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen, fit_final
from mle_star.engine.final_model import load, save
from mle_star.engine.task import METRICS, Task
from opened import open_experiment

_OF_DECISIONS = ["balanced_accuracy", "f1", "f1_macro"]


def rare(n_rows: int = 900, n_classes: int = 2) -> pd.DataFrame:
    """One row in ten is of each rarer class, and it is hard to tell."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(n_rows, 4)), columns=list("abcd"))
    score = frame["a"] + frame["b"] + 1.2 * random.normal(size=n_rows)
    kinds = np.array(["common", "some", "rare"])[:n_classes][::-1]
    return frame.assign(y=kinds[np.digitize(-score, -score.quantile([0.9, 0.8][: n_classes - 1]))])


def evaluated(experiment: Experiment, learner: str = "linear") -> Evaluation:
    evaluation = experiment.evaluator.evaluate(default_solution(learner, experiment.shape), Deadline(60))
    assert evaluation.failure is None
    return evaluation


def named(prediction: np.ndarray) -> np.ndarray:
    return np.asarray(prediction.argmax(axis=1))


@pytest.mark.parametrize("learner", ["linear", "lightgbm", "extra_trees"])
@pytest.mark.parametrize("metric", _OF_DECISIONS)
def test_rare_classes_are_named_more_often_and_that_scores_better(tmp_path: Path, metric: str, learner: str) -> None:
    experiment = open_experiment(tmp_path, rare(), metric=metric)
    evaluation = evaluated(experiment, learner)
    code = experiment.task.classes.index("some")
    assert evaluation.factors[code] > evaluation.factors[1 - code] > 0.0
    y, rows = experiment.dataset.y, experiment.evaluator.covered
    assert evaluation.oof is not None
    corrected = evaluation.oof[rows].astype(np.float64)
    plain = undo(corrected, evaluation.factors)
    np.testing.assert_allclose(corrected.sum(axis=1), 1.0, rtol=1e-5)
    assert (named(corrected) == code).sum() > (named(plain) == code).sum()
    score = experiment.task.metric.score
    assert evaluation.mean > score(y[rows], plain) + 0.02


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "average_precision", "brier"])
def test_other_metrics_take_the_chances_as_they_are(tmp_path: Path, metric: str) -> None:
    assert not evaluated(open_experiment(tmp_path, rare(), metric=metric)).factors


def test_a_class_named_is_not_always_the_likeliest_and_the_chances_shown_are_honest(tmp_path: Path) -> None:
    frame = rare(n_classes=3)
    experiment = open_experiment(tmp_path, frame, metric="f1_macro")
    members = tuple(evaluated(experiment, learner) for learner in ("linear", "lightgbm"))
    assert all(member.factors for member in members)
    choice = Chosen("mean", members, (0.5, 0.5), members[0].scores)
    model = fit_final(experiment, choice, experiment.split.development, Deadline(60))
    save(model, tmp_path / "model")
    shown = load(tmp_path / "model").predict(frame.drop(columns="y"))
    chances = shown.filter(like="proba_")
    likeliest = np.asarray(experiment.task.classes)[chances.to_numpy().argmax(axis=1)]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-6)
    # Honest chances add up to the shares of the classes; what is named names the rare one more often.
    for label in ("some", "rare"):
        assert chances[f"proba_{label}"].mean() == pytest.approx((frame["y"] == label).mean(), abs=0.03)
    assert (shown["prediction"] != "common").sum() > (likeliest != "common").sum()
    table = experiment.dataset.table
    assert (np.asarray(experiment.task.classes)[named(model.predict_table(table))] == shown["prediction"]).all()


@pytest.mark.parametrize("asked", [{}, {"time_column": "a"}])
def test_a_fold_is_corrected_by_others_and_by_earlier_ones_alone_under_time_order(
    tmp_path: Path, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt_from: list[np.ndarray] = []

    def weights(y: np.ndarray, chances: np.ndarray, task: Task) -> np.ndarray:
        learnt_from.append(y)
        return decision_weights(y, chances, task)

    experiment = open_experiment(tmp_path, rare(), metric="f1", holdout="none", **asked)
    # Each row tells which one it is.
    known = np.arange(len(experiment.dataset.y))
    monkeypatch.setattr(corrections, "decision_weights", lambda y, chances, task: np.ones(chances.shape[1]))
    plain = evaluated(experiment).oof
    monkeypatch.setattr(corrections, "decision_weights", weights)
    (tmp_path / "again").mkdir()
    experiment = open_experiment(tmp_path / "again", rare(), metric="f1", holdout="none", **asked)
    evaluation, folds, y = evaluated(experiment), experiment.evaluator.folds, experiment.dataset.y
    assert plain is not None
    assert evaluation.oof is not None
    for number, fold in enumerate(folds):
        others = [one.valid for place, one in enumerate(folds) if (place < number if asked else place != number)]
        expected = plain[fold.valid]
        if others:
            rows = known[np.concatenate(others)]
            expected = correct(expected, tuple(decision_weights(y[rows], plain[rows], experiment.task)))
        np.testing.assert_allclose(evaluation.oof[fold.valid], expected, atol=1e-4)
        assert evaluation.scores[number] == pytest.approx(
            experiment.task.metric.score(y[fold.valid], expected), abs=0.03
        )
    assert len(learnt_from) == len(folds) + (0 if asked else 1)


@settings(max_examples=80, deadline=None)
@given(
    metric=st.sampled_from(_OF_DECISIONS), n_classes=st.integers(2, 5), n_rows=st.integers(1, 120),
    ties=st.booleans(), seed=st.integers(0, 50),
)  # fmt: skip
def test_weights_are_positive_and_can_be_undone_whatever_the_chances(
    metric: str, n_classes: int, n_rows: int, ties: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    chances = random.dirichlet(np.full(n_classes, 0.5), n_rows)
    if ties:
        chances = np.eye(n_classes)[random.integers(0, n_classes, n_rows)]
    task = Task("binary" if n_classes == 2 else "multiclass", METRICS[metric], tuple("abcde"[:n_classes]))
    if metric == "f1":
        task = Task("binary", METRICS[metric], ("a", "b"))
        chances = chances[:, :2] / np.maximum(chances[:, :2].sum(axis=1, keepdims=True), 1e-9)
    weights = decision_weights(random.integers(0, chances.shape[1], n_rows), chances, task)
    assert weights.shape == (chances.shape[1],)
    assert np.isfinite(weights).all()
    assert (weights > 0.0).all()
    again = undo(correct(chances, tuple(weights)), tuple(weights))
    np.testing.assert_allclose(again, chances, atol=1e-9)


def test_the_threshold_of_f1_is_half_of_the_best_f1() -> None:
    random = np.random.default_rng(0)
    chance = random.beta(0.5, 3.0, 200_000)
    y = (random.random(len(chance)) < chance).astype(np.int64)
    task = Task("binary", METRICS["f1"], ("no", "yes"))
    chances = np.column_stack([1.0 - chance, chance])
    weights = decision_weights(y, chances, task)
    best = max(
        METRICS["f1"].score(y, chances * [threshold, 1.0 - threshold]) for threshold in np.linspace(0.1, 0.6, 51)
    )
    assert METRICS["f1"].score(y, correct(chances, tuple(weights))) == pytest.approx(best, abs=0.003)


def test_a_frequent_class_that_f1_is_about_is_not_named_less() -> None:
    random = np.random.default_rng(0)
    chance = random.beta(2.0, 0.5, 5_000)
    y = (random.random(len(chance)) < chance).astype(np.int64)
    assert y.mean() > 0.75
    task = Task("binary", METRICS["f1"], ("no", "yes"))
    chances = np.column_stack([1.0 - chance, chance])
    weights = decision_weights(y, chances, task)
    assert weights[1] >= weights[0]
    assert METRICS["f1"].score(y, correct(chances, tuple(weights))) > METRICS["f1"].score(y, chances)


@pytest.mark.parametrize("n_classes", [30, 400])
def test_many_classes_take_hardly_any_time(n_classes: int) -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(n_classes, 0.1), 20_000)
    task = Task("multiclass", METRICS["f1_macro"], tuple(map(str, range(n_classes))))
    start = time.perf_counter()
    weights = decision_weights(random.integers(0, n_classes, len(chances)), chances, task)
    assert time.perf_counter() - start < 2.0
    assert (weights > 0.0).all()


def test_chances_that_are_all_but_certain_leave_weights_finite() -> None:
    task = Task("binary", METRICS["f1"], ("no", "yes"))
    chance = np.concatenate([np.full(100, 1e-250), np.full(100, 1e-200), np.full(20, 0.2)])
    weights = decision_weights((np.arange(220) > 180).astype(np.int64), np.column_stack([1.0 - chance, chance]), task)
    assert np.isfinite(weights).all()
    assert (weights > 0.0).all()


def test_a_blend_of_corrected_members_shows_honest_chances(tmp_path: Path) -> None:
    frame = rare()
    experiment = open_experiment(tmp_path, frame, metric="f1")
    members = tuple(evaluated(experiment, learner) for learner in ("linear", "extra_trees", "naive_bayes"))
    model = fit_final(
        experiment, Chosen("blend", members, None, members[0].scores), experiment.split.development, Deadline(60)
    )
    shown = model.predict(frame.drop(columns="y"))
    assert shown["proba_some"].mean() == pytest.approx(0.1, abs=0.04)
    assert (shown["prediction"] == "some").sum() > (shown["proba_some"] > 0.5).sum()
