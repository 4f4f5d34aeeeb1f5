"""Tables of hardly any rows: boosters whose usual leaf is half of the table still learn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
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
