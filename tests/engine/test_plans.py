"""Plans: what a parameter search may be told, and that telling it never fails."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.plans import _allows

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
