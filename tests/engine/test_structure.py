"""Structural questions: an id that carries signal is kept, one that carries none is not, and the answers reach later learners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.experiment import Experiment
from mle_star.engine.leaderboard import leaderboard
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


def test_an_id_that_carries_signal_is_kept(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, table_with_id(signal=6.0))
    assert experiment.shape.n_id == 1
    assert KEEP_IDS in answers(experiment)


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


@pytest.mark.parametrize("block", [KEEP_IDS, Block.of("target", "log1p")])
def test_the_dummy_stays_as_it_is(block: Block) -> None:
    dummy = Solution.of([Block.of("model", "dummy")])
    assert settled(dummy, [block]) == dummy


def test_an_encoding_is_each_learners_own_business() -> None:
    solution = Solution.of([Block.of("encode", "onehot"), Block.of("model", "linear")])
    assert settled(solution, [Block.of("encode", "ordinal")]) == solution
