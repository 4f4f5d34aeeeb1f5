"""Plans: what a parameter search may be told, and that telling it never fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.defaults import additions, default_solution
from mle_star.engine.plans import _allows
from mle_star.engine.registry import models
from opened import generated_table, open_experiment


@pytest.mark.parametrize(("learner", "expected"), [("lightgbm", False), ("extra_trees", True)])
def test_no_scale_is_proposed_to_learners_that_go_by_order(tmp_path: Path, learner: str, expected: bool) -> None:
    shape = open_experiment(tmp_path, generated_table("binary")).shape
    proposed = {block.component for block in additions(default_solution(learner, shape), shape)}
    assert ({"standard", "minmax", "robust", "quantile"} <= proposed) is expected
    assert proposed.isdisjoint({"standard", "minmax", "robust", "quantile"}) is not expected


@pytest.mark.parametrize(("n_rows", "deepest"), [(100, 6), (2_000, 7), (100_000, 8)])
def test_trees_of_catboost_are_as_deep_as_the_rows_allow(tmp_path: Path, n_rows: int, deepest: int) -> None:
    shape = replace(open_experiment(tmp_path, generated_table("binary")).shape, n_rows=n_rows)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    models()["catboost"].space(trial, shape)
    assert trial.distributions["depth"] == optuna.distributions.IntDistribution(4, deepest)


DISTRIBUTIONS = st.sampled_from(
    [
        optuna.distributions.IntDistribution(100, 400, step=50),
        optuna.distributions.IntDistribution(2, 64, log=True),
        optuna.distributions.FloatDistribution(0.1, 0.9, step=0.2),
        optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
        optuna.distributions.CategoricalDistribution(["gini", 8, None]),
    ]
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 500), st.floats(0, 2), st.sampled_from(["gini", 0.3, 150, 107])
)


@given(DISTRIBUTIONS, VALUES)
def test_what_is_allowed_can_be_told_to_a_search(
    distribution: optuna.distributions.BaseDistribution, value: str | float | bool | None
) -> None:
    if _allows(distribution, value):
        told = optuna.trial.create_trial(params={"p": value}, distributions={"p": distribution}, value=1.0)
        assert told.params == {"p": value}


@pytest.mark.parametrize("value", [100, 150, 400])
def test_values_on_the_steps_are_told(value: int) -> None:
    assert _allows(optuna.distributions.IntDistribution(100, 400, step=50), value)


@pytest.mark.parametrize("value", [107, 99, 450])
def test_a_default_beside_the_steps_is_left_out(value: int) -> None:
    """A forest's default number of trees follows the rows, so it lies anywhere."""
    assert not _allows(optuna.distributions.IntDistribution(100, 400, step=50), value)
