"""What the gates are shown: a check that says nothing is not a clean one, and a gain is a share of something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mle_star.engine import registry
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import chosen
from mle_star.engine.holdout import choice_key
from mle_star.engine.plugins import Finding
from mle_star.engine.validation import validate
from opened import generated_table, open_experiment


def test_a_leak_check_that_breaks_is_not_a_clean_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Experiment) -> list[Finding]:
        raise ZeroDivisionError

    experiment = open_experiment(tmp_path, generated_table("binary"))
    build_baselines(experiment, Deadline(60), ("linear",))
    code = "LEAK_TARGET_COPY"
    monkeypatch.setitem(registry.checks(), code, replace(registry.checks()[code], run=broken))
    gate = next(row for row in validate(experiment).gates if row.gate.key == "critical_findings")
    assert gate.status == "not applicable"
    assert gate.note.startswith(f"{code} could not be computed")


@pytest.mark.parametrize(("metric", "least"), [("f1", 0.5), ("r2", 0.5)])
def test_the_gain_over_a_dummy_that_scores_nothing_is_a_share_of_the_score(
    tmp_path: Path, metric: str, least: float
) -> None:
    kind = "regression" if metric == "r2" else "binary"
    frame = generated_table(kind, 400)
    if kind == "binary":
        # A constant guess never says the rarer label.
        frame = frame[(frame["y"] == "no") | (frame["x1"] > 0.9)]
    experiment = open_experiment(tmp_path, frame, metric=metric)
    build_baselines(experiment, Deadline(60), ("linear",))
    gain = validate(experiment).improvements[0]
    assert gain.baseline == "dummy"
    assert least < gain.share <= 1.1


@pytest.mark.parametrize(("away", "status"), [(0.2, "passed"), (-0.2, "failed")])
def test_a_holdout_that_is_better_than_the_folds_is_no_broken_promise(tmp_path: Path, away: float, status: str) -> None:
    experiment = open_experiment(tmp_path, generated_table("regression", 400), metric="rmse", holdout=0.25)
    build_baselines(experiment, Deadline(60), ("linear",))
    choice = chosen(experiment)
    reading = {"score": (1.0 - away) * choice.mean, "interval": None, "n_rows": 100, "members": 1}
    experiment.record("holdout_read", {"choice": choice_key(choice), **reading})
    gate = next(row for row in validate(experiment).gates if row.gate.key == "holdout_gap")
    assert gate.status == status
    assert gate.value == pytest.approx(max(0.0, -away))
