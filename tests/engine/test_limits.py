"""Limits of what a model may cost in use: the best solution that keeps to them is chosen, and it is said what that cost."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.ensembling import build_ensemble
from mle_star.engine.experiment import Experiment, reopen_experiment
from mle_star.engine.final import chosen
from mle_star.engine.leaderboard import best_single, contenders, leaderboard
from mle_star.engine.limits import Footprint, Limits, size_growth
from mle_star.engine.pool import member_pool
from mle_star.engine.serving import saved_mb
from mle_star.engine.validation import validate
from opened import generated_table, open_experiment

LEARNERS = ("linear", "lightgbm", "extra_trees", "dummy")
FOOTPRINTS = st.builds(Footprint, st.floats(0.01, 100), st.floats(0.001, 500))
BOUNDS = st.none() | st.floats(0.1, 300)


@given(st.builds(Limits, BOUNDS, BOUNDS), st.lists(FOOTPRINTS, max_size=5), FOOTPRINTS)
def test_one_more_member_never_makes_a_model_cheaper(limits: Limits, members: list[Footprint], more: Footprint) -> None:
    assert limits.excess([*members, more]) >= limits.excess(members)
    if limits.allow([*members, more]):
        assert limits.allow(members)


@given(st.lists(FOOTPRINTS | st.none()))
def test_without_limits_everything_is_allowed(members: list[Footprint | None]) -> None:
    assert Limits().allow(members)


def test_an_unknown_footprint_keeps_to_no_limit() -> None:
    assert math.isinf(Limits(latency_ms=5.0).excess([None]))


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A run with a size limit that forests exceed."""
    folder = tmp_path_factory.mktemp("limited")
    experiment = open_experiment(folder, generated_table("regression", 400), limits=Limits(size_mb=0.3))
    build_baselines(experiment, Deadline(40), LEARNERS)
    return experiment


@pytest.mark.slow
def test_only_solutions_within_the_limits_are_chosen(open_run: Experiment) -> None:
    board = leaderboard(open_run)
    too_large = {row.evaluation.key for row in board if not open_run.limits.allow([row.evaluation.footprint])}
    assert any(row.family == "forest" and row.evaluation.key in too_large for row in board)
    assert {row.evaluation.key for row in contenders(open_run)}.isdisjoint(too_large)
    assert {member.key for member in member_pool(open_run)}.isdisjoint(too_large)
    assert best_single(open_run).evaluation.key not in too_large


@pytest.mark.slow
def test_an_ensemble_keeps_to_the_limits_as_a_whole_and_tells_the_price(open_run: Experiment) -> None:
    result = build_ensemble(open_run, Deadline(20))
    choice = chosen(open_run)
    assert open_run.limits.allow(member.footprint for member in choice.members)
    assert result.without_limits is not None
    validation = validate(open_run)
    gate = next(gate for gate in validation.gates if gate.gate.key == "size")
    assert gate.status == "passed"
    assert gate.value is not None
    assert gate.value <= 0.3
    assert gate.value == pytest.approx(saved_mb(open_run.run.model_path), abs=1e-9)


@pytest.mark.slow
def test_a_limit_nothing_keeps_to_takes_the_least_excess_and_fails_the_gate(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary"), limits=Limits(latency_ms=0.05))
    build_baselines(experiment, Deadline(20), ("linear", "extra_trees", "dummy"))
    best = best_single(experiment)
    assert best.family != "dummy"
    learnt = [row.evaluation for row in leaderboard(experiment) if row.family != "dummy"]
    least = min(learnt, key=lambda evaluation: experiment.limits.excess([evaluation.footprint]))
    assert best.evaluation.key == least.key
    build_ensemble(experiment, Deadline(10))
    validation = validate(experiment)
    assert validation.verdict == "NOT READY"
    assert any("Fast single prediction" in reason for reason in validation.reasons)


@pytest.mark.slow
def test_limits_are_remembered_with_the_run(open_run: Experiment) -> None:
    again = reopen_experiment(open_run.run, open_run.resources, Deadline(10))
    assert again.limits == Limits(size_mb=0.3)
    assert [row.evaluation.footprint for row in leaderboard(again)] == [
        row.evaluation.footprint for row in leaderboard(open_run)
    ]


@pytest.mark.parametrize(
    ("family", "grown"), [("boosting", 3.0), ("linear", 1.0), ("network", 1.0), ("forest", 20.0), ("neighbors", 20.0)]
)
def test_what_keeps_its_rows_grows_with_them_and_coefficients_do_not(family: str, grown: float) -> None:
    assert size_growth(family, 20.0) == grown
    assert size_growth(family, 1.0) == 1.0
