"""The size of a target changes nothing: amperes are learnt as well as volts, and a small spread on a large offset as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.evaluate import Evaluator
from mle_star.engine.evaluation import FoldPlan
from mle_star.engine.unit_scale import UnitScale

from ..opened import generated_table, open_experiment

LEARNERS = sorted(
    key for key, model in registry.models().items() if "regression" in model.tasks and model.family != "dummy"
)


@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e-5, 0.0), (1.0, 1e9)])
def test_a_target_of_any_size_is_learnt_as_well(tmp_path: Path, factor: float, offset: float) -> None:
    scores = []
    for number, (times, plus) in enumerate([(1.0, 0.0), (factor, offset)]):
        frame = generated_table("regression", 240)
        frame["y"] = frame["y"] * times + plus
        folder = tmp_path / str(number)
        folder.mkdir()
        experiment = open_experiment(folder, frame, metric="r2")
        evaluator = Evaluator(experiment, FoldPlan(2, 1, None))
        found = {}
        for key in LEARNERS:
            if registry.missing_requirement(registry.model(key)) is None:
                evaluation = evaluator.evaluate(default_solution(key, experiment.shape), Deadline(60))
                assert evaluation.failure is None, evaluation.failure
                found[key] = evaluation.mean
        scores.append(found)
    usual, other = scores
    assert {key: round(score, 2) for key, score in other.items()} == pytest.approx(usual, abs=0.06)


def test_ordinary_targets_are_left_alone_and_what_is_changed_comes_back() -> None:
    random = np.random.default_rng(0)
    assert UnitScale.of(random.normal(200_000.0, 80_000.0, 100)) is None
    assert UnitScale.of(np.full(10, 3.0)) is None
    for y in (random.normal(0.0, 1e-7, 100), random.normal(1e9, 1.0, 100), random.normal(0.0, 1e12, 100)):
        scale = UnitScale.of(y)
        assert scale is not None
        assert 0.5 < np.std(scale.apply(y)) < 2.0
        assert scale.inverse(scale.apply(y)) == pytest.approx(y, rel=1e-12)
