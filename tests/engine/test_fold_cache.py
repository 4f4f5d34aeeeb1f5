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


def test_all_folds_of_what_fits_are_kept_and_the_least_recently_used_goes_first() -> None:
    cache = FoldCache(100 * KIB, n_folds=2)
    for key in ("a0", "a1", "b0"):
        cache.put(key, inputs(30))
    assert cache.get(Inputs, "a0") is not None
    cache.put("b1", inputs(30))
    assert cache.get(Inputs, "a1") is None
    assert all(cache.get(Inputs, key) is not None for key in ("a0", "b0", "b1"))


def test_a_form_without_room_for_all_its_folds_is_not_kept_and_pushes_nothing_out() -> None:
    cache = FoldCache(100 * KIB, n_folds=2)
    cache.put("small", inputs(10))
    cache.put("large", inputs(60))
    assert cache.get(Inputs, "large") is None
    assert cache.get(Inputs, "small") is not None


def test_what_is_put_again_counts_once() -> None:
    cache = FoldCache(100 * KIB, n_folds=1)
    cache.put("other", inputs(40))
    for _ in range(5):
        cache.put("same", inputs(40))
    assert cache.get(Inputs, "other") is not None
    cache.clear()
    assert cache.get(Inputs, "same") is None


def test_forms_of_the_same_fold_are_told_apart() -> None:
    cache = FoldCache(100 * KIB, n_folds=1)
    table = Table(pd.DataFrame({"a": [1.0]}), {})
    cache.put("fold", Prefix(table, table, []))
    assert cache.get(Inputs, "fold") is None
    assert cache.get(Prefix, "fold") is not None


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
