"""How far a score would move with other rows, and the cross-validated interval that rests on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mle_star.engine import validation as validating
from mle_star.engine.baselines import build_baselines
from mle_star.engine.compare import interval_of_next
from mle_star.engine.deadline import Deadline
from mle_star.engine.evaluation import Evaluation, FoldPlan
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import chosen, out_of_fold
from mle_star.engine.resampling import noise_of_a_fold, resampled_scores
from mle_star.engine.validation import validate
from opened import generated_table, open_experiment


def opened_with(folder: Path, n_rows: int = 600, **asked: object) -> Experiment:
    return open_experiment(folder, generated_table("regression", n_rows), **asked)


def grouped(folder: Path) -> Experiment:
    frame = generated_table("regression", 600)
    frame["who"] = [f"p{row % 60}" for row in range(len(frame))]
    return open_experiment(folder, frame, group_column="who")


def standing(experiment: Experiment, seed: int = 1) -> np.ndarray:
    """Predictions of all rows that are wrong by noise."""
    y = experiment.dataset.y
    return np.asarray(y + np.random.default_rng(seed).normal(size=len(y)))[:, None]


def test_smaller_samples_move_a_score_more(tmp_path: Path) -> None:
    experiment = opened_with(tmp_path)
    rows, off = np.arange(experiment.dataset.n_rows), standing(experiment)
    whole = np.std(resampled_scores(experiment, rows, off, Deadline(30)))
    fifth = np.std(resampled_scores(experiment, rows, off, Deadline(30), 0.2))
    assert fifth / whole == pytest.approx(np.sqrt(5.0), rel=0.25)


def test_groups_are_drawn_whole(tmp_path: Path) -> None:
    experiment = grouped(tmp_path)
    assert experiment.split.groups is not None
    rows, y = np.arange(experiment.dataset.n_rows), experiment.dataset.y
    # Every row of a group is wrong by the same: ten rows are one draw, not ten.
    offsets = np.random.default_rng(2).normal(size=60) ** 2
    together = (y + offsets[experiment.split.groups])[:, None]
    scattered = (y + np.random.default_rng(3).permutation(offsets[experiment.split.groups]))[:, None]
    moves = [np.std(resampled_scores(experiment, rows, off, Deadline(30))) for off in (together, scattered)]
    plain = replace(experiment, split=replace(experiment.split, kind="plain", groups=None))
    by_rows = np.std(resampled_scores(plain, rows, together, Deadline(30)))
    assert moves[0] > 2.0 * by_rows
    assert moves[1] < 0.6 * moves[0]


def test_scores_without_a_value_do_not_count_and_the_clock_ends_it(tmp_path: Path) -> None:
    experiment = opened_with(tmp_path)
    rows, off = np.arange(experiment.dataset.n_rows), standing(experiment)
    assert len(resampled_scores(experiment, rows, off, Deadline(30))) == 200
    assert resampled_scores(experiment, rows, off, Deadline(0)) == []
    task, last = experiment.task, experiment.dataset.y[-1]
    # Undefined where a draw lacks one of the rows: about one draw in three.
    partial = replace(task.metric, key="partial", function=lambda y, _: float(y.mean()) if last in y else np.nan)
    left = resampled_scores(replace(experiment, task=replace(task, metric=partial)), rows, off, Deadline(30))
    assert 0 < len(left) < 200
    assert np.isfinite(left).all()


@pytest.mark.parametrize("n_folds", [3, 6])
def test_the_noise_of_a_fold_is_that_of_its_rows(tmp_path: Path, n_folds: int) -> None:
    experiment = opened_with(tmp_path, 15_000, holdout="none")
    experiment.plan = FoldPlan(n_folds)
    covered = experiment.evaluator.covered
    y, off = experiment.dataset.y[covered], standing(experiment)[covered]
    deals = np.random.default_rng(4)
    of_folds = [
        experiment.task.metric.score(y[fold], off[fold])
        for _ in range(60)
        for fold in np.array_split(deals.permutation(len(y)), n_folds)
    ]
    # Folds of more rows than are drawn at a time, and of fewer. Dealt, not drawn: alike but for the finite number of rows.
    expected = np.std(of_folds) / np.sqrt(1.0 - 1.0 / n_folds)
    assert noise_of_a_fold(experiment, off) == pytest.approx(expected, rel=0.25)


def test_folds_alike_by_chance_leave_the_interval_as_wide_as_their_rows_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = opened_with(tmp_path, 400, holdout="none")
    build_baselines(experiment, Deadline(30), ("linear", "dummy"))
    whole = chosen(experiment)
    alike = tuple(whole.mean + 1e-6 * number for number in range(len(whole.scores)))
    monkeypatch.setattr(validating, "chosen", lambda _: replace(whole, scores=alike))
    experiment.deadline = Deadline(60)
    validation = validate(experiment, checks=["LEAK_TARGET_COPY"])
    noise = noise_of_a_fold(experiment, out_of_fold(experiment, whole)[experiment.evaluator.covered])
    low, high = validation.cv_interval
    reach = 1.96 * noise * np.sqrt(1.0 + 1.0 / len(alike))
    assert (high - low) / 2 == pytest.approx(reach, rel=0.01)
    assert reach > 1e-3


@pytest.mark.slow
def test_a_model_that_gained_by_more_rows_is_within_its_interval(tmp_path: Path) -> None:
    experiment = opened_with(tmp_path, 3_000, holdout=0.25)
    experiment.plan = FoldPlan(3, 1, max_rows=300)
    build_baselines(experiment, Deadline(30), ("lightgbm", "dummy"))
    experiment.deadline = Deadline(60)
    validation = validate(experiment, checks=["LEAK_TARGET_COPY"])
    noise = noise_of_a_fold(experiment, out_of_fold(experiment, chosen(experiment))[experiment.evaluator.covered])
    of_folds = interval_of_next(validation.cv_score, validation.cv_scores, experiment.task.metric, noise)
    # Folds of 300 rows are much worse than the model of all: the sealed rows tell on which side the truth is.
    assert validation.holdout.interval[0] < of_folds[0]
    assert validation.cv_interval == (validation.holdout.interval[0], of_folds[1])


def test_a_metric_that_fails_on_some_draw_does_not_end_a_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = opened_with(tmp_path, 400, holdout="none")
    build_baselines(experiment, Deadline(30), ("linear", "dummy"))
    experiment.deadline = Deadline(60)

    def refuse(*_: object) -> float:
        raise ValueError("y_prob contains values greater than 1")

    monkeypatch.setattr(validating, "noise_of_a_fold", refuse)
    validation = validate(experiment, checks=["LEAK_TARGET_COPY"])
    assert validation.cv_interval == interval_of_next(validation.cv_score, validation.cv_scores, experiment.task.metric)


def test_a_stack_is_judged_by_what_it_makes_of_its_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = opened_with(tmp_path, 400, holdout="none")
    build_baselines(experiment, Deadline(30), ("linear", "dummy"))
    best = chosen(experiment).members[0]
    wild: Evaluation = replace(best, oof=best.oof + np.float32(1e9))
    stack = replace(chosen(experiment), strategy="stack_linear", members=(best, wild), weights=None)
    inspection = validating._Inspection(experiment, stack)
    covered = experiment.evaluator.covered
    noise = inspection._noise_of_a_fold()
    assert noise == pytest.approx(noise_of_a_fold(experiment, out_of_fold(experiment, stack)[covered]), rel=1e-3)
    # It weighs the wild member down; their plain mean would be off by half a billion.
    assert noise == pytest.approx(noise_of_a_fold(experiment, best.oof[covered]), rel=0.05)
