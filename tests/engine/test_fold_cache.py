"""Folds kept in memory between solutions: what has a place for all folds stays, what has none does not push it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.adapter import Adapter
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.fold_cache import FoldCache, Inputs, Prefix
from mle_star.engine.plugins import Needs
from mle_star.engine.table import Table
from opened import generated_table, open_experiment

KIB = 1 << 10


def inputs(n_kib: int) -> Inputs:
    """A form of a fold that takes about so many KiB."""
    half = pd.DataFrame({"f0": np.zeros(n_kib * KIB // 2 // 8)})
    return Inputs(half, half, [], Adapter((), Needs()))


def test_where_room_is_short_a_form_goes_with_all_its_folds_and_the_one_in_use_stays_whole() -> None:
    cache = FoldCache(100 * KIB, n_folds=3)
    for key in ("first", "second", "third"):
        for fold in range(3):
            cache.put(key, fold, inputs(15))
    assert all(cache.get(Inputs, "first", fold) is None for fold in range(3))
    assert all(cache.get(Inputs, key, fold) is not None for key in ("second", "third") for fold in range(3))
    for fold in range(3):
        cache.put("fourth", fold, inputs(30))
    assert all(cache.get(Inputs, "fourth", fold) is not None for fold in range(3))


def test_what_was_used_stays_longer() -> None:
    cache = FoldCache(100 * KIB, n_folds=1)
    cache.put("old", 0, inputs(40))
    cache.put("newer", 0, inputs(40))
    assert cache.get(Inputs, "old", 0) is not None
    cache.put("newest", 0, inputs(40))
    assert cache.get(Inputs, "newer", 0) is None
    assert cache.get(Inputs, "old", 0) is not None


def test_a_form_without_room_for_all_its_folds_is_not_kept_and_pushes_nothing_out() -> None:
    cache = FoldCache(100 * KIB, n_folds=2)
    cache.put("small", 0, inputs(10))
    cache.put("large", 0, inputs(60))
    assert cache.get(Inputs, "large", 0) is None
    assert cache.get(Inputs, "small", 0) is not None


def test_what_is_put_again_counts_once() -> None:
    cache = FoldCache(100 * KIB, n_folds=1)
    cache.put("other", 0, inputs(40))
    for _ in range(5):
        cache.put("same", 0, inputs(40))
    assert cache.get(Inputs, "other", 0) is not None
    cache.clear()
    assert cache.get(Inputs, "same", 0) is None


def test_forms_of_the_same_fold_are_told_apart() -> None:
    cache = FoldCache(100 * KIB, n_folds=1)
    table = Table(pd.DataFrame({"a": [1.0]}), {})
    cache.put("fold", 0, Prefix(table, table, []))
    assert cache.get(Inputs, "fold", 0) is None
    assert cache.get(Prefix, "fold", 0) is not None


def test_learners_that_take_the_same_share_its_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary"))
    fits: list[int] = []
    fit = Adapter.fit

    def counted(table: Table, needs: Needs) -> Adapter:
        fits.append(1)
        return fit(table, needs)

    monkeypatch.setattr(Adapter, "fit", counted)
    solution = default_solution("lightgbm", experiment.shape)
    for rate in (0.1, 0.2, 0.3):
        other = solution.replace(solution.model, solution.model.with_params({"learning_rate": rate}))
        assert experiment.evaluator.evaluate(other, Deadline(60)).failure is None
    assert len(fits) == experiment.plan.n_folds


@pytest.mark.parametrize("learner", ["linear", "extra_trees", "lightgbm"])
def test_a_solution_scores_the_same_from_kept_folds_and_from_the_table(learner: str, tmp_path: Path) -> None:
    scores = []
    for before in ((), ("svm_linear", "decision_tree", "hist_gradient_boosting", "catboost")):
        folder = tmp_path / str(len(before))
        folder.mkdir()
        experiment = open_experiment(folder, generated_table("binary"))
        for other in before:
            experiment.evaluator.evaluate(default_solution(other, experiment.shape), Deadline(60))
        found = experiment.evaluator.evaluate(default_solution(learner, experiment.shape), Deadline(60))
        assert not found.cached
        scores.append(found.scores)
    assert scores[0] == scores[1]
