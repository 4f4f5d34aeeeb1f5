"""Structural questions: an id that carries signal is kept, one that carries none is not, and the answers reach later learners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.experiment import Experiment
from mle_star.engine.leaderboard import leaderboard
from mle_star.engine.plugins import FittedModel, TrainingData
from mle_star.engine.solution import Block, Solution, Suggestion
from mle_star.engine.structure import settle, settled
from opened import generated_table, open_experiment

KEEP_IDS = Block.of("features", "keep_ids")


def table_with_id(signal: float, n_rows: int = 600) -> pd.DataFrame:
    """Rows with a shuffled id; the larger the id the larger the target, by `signal`."""
    frame = generated_table("regression", n_rows)
    number = np.random.default_rng(1).permutation(n_rows)
    frame.insert(0, "order_id", [f"A-{value:05d}" for value in number])
    frame["y"] += signal * number / n_rows
    return frame


def answers(experiment: Experiment, seconds: float = 60.0, research: tuple[Suggestion, ...] = ()) -> list[Block]:
    reference = experiment.evaluator.evaluate(default_solution("lightgbm", experiment.shape), Deadline(60))
    return settle(experiment, reference, Deadline(seconds), research)


@pytest.mark.slow
def test_an_id_that_carries_signal_is_kept(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, table_with_id(signal=6.0))
    assert experiment.shape.n_id == 1
    assert KEEP_IDS in answers(experiment)


@pytest.mark.slow
def test_an_id_that_carries_none_stays_out(tmp_path: Path) -> None:
    assert KEEP_IDS not in answers(open_experiment(tmp_path, table_with_id(signal=0.0)))


def test_without_time_nothing_is_asked(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, table_with_id(signal=6.0))
    assert answers(experiment, seconds=1e-6) == []


def test_a_suggestion_for_another_learner_is_not_asked(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("regression"))
    products = Block.of("features", "pair_products")
    answers(experiment, research=(Suggestion(products, ("linear",)),))
    tried = [ranked.evaluation.solution for ranked in leaderboard(experiment)]
    assert all(products not in solution.blocks for solution in tried)


@pytest.mark.slow
def test_answers_go_into_the_learners_after_the_first(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, table_with_id(signal=6.0))
    build_baselines(experiment, Deadline(60), ["lightgbm", "linear"])
    linear = [
        row.evaluation.solution
        for row in leaderboard(experiment)
        if row.evaluation.solution.model.component == "linear"
    ]
    assert linear
    assert all(KEEP_IDS in solution.blocks for solution in linear)


def table_with_many_levels(n_rows: int = 1_200) -> pd.DataFrame:
    """Two categories of 150 levels each; what a level adds to the target has nothing to do with its name."""
    generator = np.random.default_rng(2)
    codes = generator.integers(0, 150, size=(n_rows, 2))
    effects = generator.normal(size=(2, 150))
    frame = pd.DataFrame({"shop": [f"S{a:03d}" for a in codes[:, 0]], "item": [f"I{b:03d}" for b in codes[:, 1]]})
    frame["x"] = generator.normal(size=n_rows)
    frame["y"] = effects[0][codes[:, 0]] + effects[1][codes[:, 1]] + frame["x"] + 0.3 * generator.normal(size=n_rows)
    return frame


@pytest.mark.slow
def test_categories_of_many_levels_are_encoded_where_boosters_would_read_codes(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, table_with_many_levels())
    accepted = answers(experiment)
    encoding = Block.of("encode", "target_mean")
    assert encoding in accepted
    for learner, wanted in (("xgboost", True), ("catboost", False), ("linear", False)):
        assert (encoding in settled(default_solution(learner, experiment.shape), accepted).blocks) is wanted


def table_with_texts(n_rows: int = 2_200) -> pd.DataFrame:
    """Notes of a few frequent words; two of them decide the target, but only where they come alone."""
    generator = np.random.default_rng(3)
    words = np.array([f"word{number}x" for number in range(40)])
    has = generator.random((n_rows, 40)) < 0.3
    notes = [" ".join(generator.permutation(words[row])) for row in has]
    return pd.DataFrame({"note": notes, "x": generator.normal(size=n_rows), "y": (has[:, 0] ^ has[:, 1]).astype(int)})


@pytest.mark.slow
def test_frequent_terms_are_taken_where_they_help_and_only_by_learners_that_choose_among_columns(
    tmp_path: Path,
) -> None:
    experiment = open_experiment(tmp_path, table_with_texts(), holdout="none")
    assert experiment.shape.n_text == 1
    accepted = answers(experiment)
    terms = Block.of("features", "text_tfidf", {"n_terms": 100})
    assert terms in accepted
    for learner, wanted in (("xgboost", True), ("extra_trees", True), ("linear", False), ("mlp", False)):
        assert (terms in settled(default_solution(learner, experiment.shape), accepted).blocks) is wanted


def test_a_linear_model_gets_a_column_for_each_of_many_levels_where_that_fits(tmp_path: Path) -> None:
    shape = open_experiment(tmp_path, table_with_many_levels(300)).shape
    wide, usual = (Block.of("encode", "onehot", params) for params in ({"max_levels": 250}, None))
    for n_rows, max_levels, block in ((5_000, 150, wide), (5_000, 40, usual), (5_000_000, 150, usual)):
        asked = replace(shape, n_rows=n_rows, max_levels=max_levels)
        assert block in default_solution("linear", asked).blocks


@pytest.mark.parametrize("block", [KEEP_IDS, Block.of("target", "log1p")])
def test_the_dummy_stays_as_it_is(block: Block) -> None:
    dummy = Solution.of([Block.of("model", "dummy")])
    assert settled(dummy, [block]) == dummy


def test_an_encoding_is_each_learners_own_business() -> None:
    solution = Solution.of([Block.of("encode", "onehot"), Block.of("model", "linear")])
    assert settled(solution, [Block.of("encode", "ordinal")]) == solution


@pytest.mark.parametrize(("metric", "asked"), [("rmse", True), ("rmsle", False)])
def test_logarithms_are_not_asked_for_where_every_learner_learns_them_anyway(
    tmp_path: Path, metric: str, asked: bool
) -> None:
    frame = generated_table("regression")
    frame["y"] = np.exp(frame["y"])
    experiment = open_experiment(tmp_path, frame, metric=metric)
    answers(experiment)
    tried = [ranked.evaluation.solution for ranked in leaderboard(experiment)]
    assert any(Block.of("target", "log1p") in solution.blocks for solution in tried) is asked


def test_a_booster_that_the_clock_ended_is_not_asked_and_the_next_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightgbm = registry.model("lightgbm")

    def ended(data: TrainingData) -> FittedModel:
        fitted = lightgbm.fit(data)
        fitted.cut = True
        return fitted

    monkeypatch.setitem(registry.models(), "lightgbm", replace(lightgbm, fit=ended))
    experiment = open_experiment(tmp_path, table_with_id(signal=6.0))
    build_baselines(experiment, Deadline(60), ["lightgbm", "hist_gradient_boosting"])
    asked = [row.evaluation.solution for row in leaderboard(experiment) if row.origin == "research-informed"]
    assert asked
    assert {solution.model.component for solution in asked} == {"hist_gradient_boosting"}
