"""refine: the coordinator's own plans are taken as they are, or refused before any time is spent."""

from __future__ import annotations

from typing import Any

import pytest
from mle_star.engine.errors import InvalidInput
from mle_star.engine.experiment import Experiment
from mle_star.tools import build_baselines, profile_dataset
from mle_star.tools.refine import TOOL, RefineRequest
from mle_star.tools.workflow import perform
from opened import generated_table, open_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return open_experiment(tmp_path_factory.mktemp("refine"), generated_table("binary", 200), budget_s=10.0)


def asked(block: str, component: str, **params: Any) -> RefineRequest:
    return RefineRequest.model_validate({"block": block, "plan": [{"component": component, "params": params}]})


@pytest.mark.parametrize(
    ("block", "component", "parameter"),
    [
        ("encode", "target_mean", "smoothnes"),
        ("model", "linear", "alpha"),
        ("model", "mlp", "hidden_layers"),
        ("model", "svm_rbf", "gama"),
    ],
)
def test_a_plan_with_a_parameter_that_is_none_is_refused_before_any_step(
    experiment: Experiment, block: str, component: str, parameter: str
) -> None:
    arguments = asked(block, component, **{parameter: 1}).model_dump()
    home = experiment.resources.cache_path.parent
    with pytest.raises(InvalidInput, match=rf"{block}\.{component} has no parameter '{parameter}'; accepted: "):
        perform("refine", arguments, experiment.run, home, 2, lambda _: None)
    assert list(experiment.run.journal.read("phase")) == []


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
