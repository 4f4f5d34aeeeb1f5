"""Tables of hardly any rows: boosters whose usual leaf is half of the table learn from it, and the report says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.plugins import NotApplicable
from opened import open_experiment


@pytest.mark.parametrize("learner", ["lightgbm", "hist_gradient_boosting"])
@pytest.mark.parametrize("n_rows", [30, 50])
def test_boosters_split_few_rows(tmp_path: Path, learner: str, n_rows: int) -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"a": random.normal(size=n_rows), "b": random.normal(size=n_rows)})
    frame["y"] = np.where(frame["a"] + 0.3 * random.normal(size=n_rows) > 0, "yes", "no")
    experiment = open_experiment(tmp_path, frame)
    evaluation = experiment.evaluator.evaluate(default_solution(learner, experiment.shape), Deadline(60))
    assert evaluation.failure is None
    assert evaluation.mean > 0.8


def found(tmp_path: Path, frame: pd.DataFrame) -> list[str]:
    experiment = open_experiment(tmp_path, frame)
    outcome = registry.checks()["FEW_ROWS"].run(experiment)
    assert not isinstance(outcome, NotApplicable)
    return [finding.evidence for finding in outcome]


def test_few_rows_and_few_of_a_class_are_said_to_be_few(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=400), "b": random.normal(size=400)})
    for name, labels, said in (
        ("small", ["big"] * 8 + ["little"] * 32, ["40 rows, 8 of them 'big'"]),
        ("rare", ["big"] * 12 + ["little"] * 388, ["400 rows, 12 of them 'big'"]),
        ("enough", ["big"] * 100 + ["little"] * 300, []),
    ):
        (tmp_path / name).mkdir()
        evidence = found(tmp_path / name, frame.head(len(labels)).assign(y=labels))
        assert [one.split(":")[0] for one in evidence] == said
