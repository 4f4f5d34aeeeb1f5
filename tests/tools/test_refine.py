"""refine: the coordinator's own plans are taken as they are, or refused before any time is spent."""

from __future__ import annotations

from typing import Any

import pytest
from mle_star.engine.errors import InvalidInput
from mle_star.engine.experiment import Experiment
from mle_star.tools import build_baselines, profile_dataset
from mle_star.tools.refine import TOOL, RefineRequest
from opened import generated_table, open_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return open_experiment(tmp_path_factory.mktemp("refine"), generated_table("binary", 200), budget_s=10.0)


def asked(block: str, component: str, **params: Any) -> RefineRequest:
    return RefineRequest.model_validate({"block": block, "plan": [{"component": component, "params": params}]})


def test_a_plan_with_a_parameter_that_a_component_has_not_is_refused_at_once() -> None:
    assert TOOL.refuse is not None
    with pytest.raises(InvalidInput, match=r"encode\.target_mean has no parameter .smoothnes.; accepted: "):
        TOOL.refuse(asked("encode", "target_mean", smoothnes=10))


@pytest.mark.parametrize(("learner", "parameter"), [("linear", "alpha"), ("mlp", "hidden_layers"), ("svm_rbf", "gama")])
def test_a_plan_with_a_parameter_that_a_learner_of_ours_has_not_is_refused(
    experiment: Experiment, learner: str, parameter: str
) -> None:
    with pytest.raises(InvalidInput, match=f"model.{learner} has no parameter '{parameter}'; accepted: "):
        TOOL.work(asked("model", learner, **{parameter: 1}), experiment)


def test_the_next_call_names_its_run(experiment: Experiment) -> None:
    run_id = experiment.run.run_id
    profiled = profile_dataset.work(profile_dataset.ProfileRequest(path="t", target="y"), experiment)
    assert f"build_baselines(run_id='{run_id}')" in profiled.next
    scored = build_baselines.TOOL.work(build_baselines.BaselinesRequest(learners=["linear"]), experiment)
    assert scored.next == f"run_ablation(run_id='{run_id}')"
    # A parameter of the library that is none of our defaults is no mistake.
    refined = TOOL.work(asked("model", "lightgbm", max_bin=63), experiment)
    assert refined.plans[0].failure is None
    assert refined.next.startswith(f"build_ensemble(run_id='{run_id}')")
