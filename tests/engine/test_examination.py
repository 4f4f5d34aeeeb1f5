"""One fold under the magnifying glass: it keeps to its time, and a gap to training rows is judged where it tells something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mle_star.engine import validation as validating
from mle_star.engine.baselines import build_baselines
from mle_star.engine.checking import NO_TIME
from mle_star.engine.deadline import Deadline
from mle_star.engine.evaluation import Evaluation
from mle_star.engine.examination import Examination, examine_fold
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen
from mle_star.engine.leaderboard import leaderboard
from mle_star.engine.plugins import NotApplicable
from opened import generated_table, open_experiment


def scored(folder: Path, learner: str) -> tuple[Experiment, Evaluation]:
    experiment = open_experiment(folder, generated_table("binary", 400))
    build_baselines(experiment, Deadline(60), (learner, "dummy"))
    return experiment, next(row.evaluation for row in leaderboard(experiment) if row.family != "dummy")


def test_it_asks_for_the_time_that_was_kept_for_it(tmp_path: Path) -> None:
    experiment, member = scored(tmp_path, "linear")
    # Ten seconds beside another fold; with all threads it takes less.
    choice = Chosen.alone(replace(member, fold_seconds=(10.0,) * len(member.scores)))
    experiment.deadline = Deadline(3)
    assert examine_fold(experiment, choice) == NotApplicable(NO_TIME)
    experiment.deadline = Deadline(9)
    assert isinstance(examine_fold(experiment, choice), Examination)


@pytest.mark.parametrize(("learner", "by_heart"), [("extra_trees", True), ("knn", True), ("decision_tree", False)])
def test_a_gap_to_training_rows_is_judged_where_it_tells_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: str, by_heart: bool
) -> None:
    experiment, member = scored(tmp_path, learner)
    monkeypatch.setattr(validating, "chosen", lambda _: Chosen.alone(member))
    experiment.deadline = Deadline(14)
    validation = validating.validate(experiment, checks=["TRAIN_VALID_GAP"])
    (gate,) = (result for result in validation.gates if result.gate.key == "train_gap")
    assert validation.examination is not None
    assert validation.examination.train > validation.examination.valid
    (outcome,) = validation.outcomes
    if by_heart:
        assert (gate.status, gate.value) == ("not applicable", None)
        assert "by heart" in gate.note
        assert outcome.not_applicable == gate.note
        assert not outcome.findings
    else:
        assert gate.value == pytest.approx(validation.examination.gap)
        assert outcome.not_applicable is None
