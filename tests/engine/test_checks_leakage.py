"""Leaks planted in a table are found, and what only resembles a leak is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.checking import NO_TIME, run_checks
from mle_star.engine.deadline import Deadline
from mle_star.engine.errors import NotFound
from mle_star.engine.experiment import Experiment
from mle_star.engine.plugins import Finding, NotApplicable
from mle_star.engine.registry import checks
from mle_star.engine.roles import Role
from opened import generated_table, open_experiment


def found(code: str, experiment: Experiment) -> list[Finding]:
    result = checks()[code].run(experiment)
    assert not isinstance(result, NotApplicable), result.reason
    return list(result)


def test_a_renamed_copy_of_the_classes_is_critical(tmp_path: Path) -> None:
    frame = generated_table("binary")
    frame["outcome"] = frame["y"].map({"yes": "closed", "no": "open"})
    (finding,) = found("LEAK_TARGET_COPY", open_experiment(tmp_path, frame))
    assert finding.severity == "critical"
    assert "outcome" in finding.title


def test_a_target_in_other_units_is_critical_and_is_reported_once(tmp_path: Path) -> None:
    frame = generated_table("regression")
    frame["cents"] = -100 * np.exp(frame["y"])
    experiment = open_experiment(tmp_path, frame)
    assert [row.severity for row in found("LEAK_TARGET_COPY", experiment)] == ["critical"]
    assert found("LEAK_SINGLE_FEATURE", experiment) == []


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_an_honest_table_has_no_leak(kind: str, tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table(kind))
    for code in ("LEAK_TARGET_COPY", "LEAK_SINGLE_FEATURE", "LEAK_DUPLICATE_ROWS", "ID_FEATURE"):
        assert found(code, experiment) == []


def test_a_column_that_is_almost_the_answer_is_found_without_being_a_copy(tmp_path: Path) -> None:
    frame = generated_table("binary", 600)
    rng = np.random.default_rng(1)
    frame["score_after"] = np.where(frame["y"] == "yes", 5.0, 0.0) + rng.uniform(0, 4, len(frame))
    experiment = open_experiment(tmp_path, frame)
    assert found("LEAK_TARGET_COPY", experiment) == []
    (finding,) = found("LEAK_SINGLE_FEATURE", experiment)
    assert (finding.severity, "score_after" in finding.title) == ("critical", True)


def test_a_number_beyond_single_precision_hides_no_leak(tmp_path: Path) -> None:
    frame = generated_table("regression", 900)
    frame["known later"] = frame["y"] + 0.1 * np.random.default_rng(1).normal(size=900)
    frame.loc[7, "x1"] = np.finfo(np.float64).max
    (finding,) = found("LEAK_SINGLE_FEATURE", open_experiment(tmp_path, frame))
    assert finding.title.startswith("known later")


def test_a_counter_beside_a_target_that_the_file_is_sorted_by_is_no_feature(tmp_path: Path) -> None:
    frame = generated_table("multiclass", 300).sort_values("y", kind="stable").reset_index(drop=True)
    frame.insert(0, "Id", np.arange(1, 301))
    experiment = open_experiment(tmp_path, frame)
    assert experiment.dataset.feature_roles["Id"] is Role.ID
    assert experiment.shape.n_id == 0
    frame = frame.sample(frac=1.0, random_state=0)
    frame["Id"] = np.arange(1, 301)
    (tmp_path / "shuffled").mkdir()
    assert open_experiment(tmp_path / "shuffled", frame).shape.n_id == 1


def test_twins_of_a_table_with_few_possible_rows_are_no_warning(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.choice(["a", "b", "c"], size=(600, 3)), columns=["x1", "x2", "x3"])
    frame["y"] = random.choice(["u", "v"], 600)
    (finding,) = found("LEAK_DUPLICATE_ROWS", open_experiment(tmp_path, frame))
    assert finding.severity == "info"
    assert "few possible values" in finding.evidence


def test_a_column_missing_exactly_for_one_class_is_found(tmp_path: Path) -> None:
    frame = generated_table("binary", 600)
    frame["reason"] = np.where(frame["y"] == "yes", np.random.default_rng(2).choice(list("abcd"), 600), None)
    (finding,) = found("LEAK_SINGLE_FEATURE", open_experiment(tmp_path, frame))
    assert "reason" in finding.title


class Ticking:
    """A clock that moves by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_columns_the_clock_left_out_are_never_reported_as_clean(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary"))
    experiment.deadline = Deadline(6, clock=Ticking())
    assert checks()["LEAK_SINGLE_FEATURE"].run(experiment) == NotApplicable(NO_TIME)


def test_a_leak_found_before_the_clock_stopped_stands(tmp_path: Path) -> None:
    frame = generated_table("binary", 600)
    leak = np.where(frame["y"] == "yes", 5.0, 0.0) + np.random.default_rng(1).uniform(0, 4, len(frame))
    frame.insert(0, "score_after", leak)
    experiment = open_experiment(tmp_path, frame)
    experiment.deadline = Deadline(12, clock=Ticking())
    assert [finding.severity for finding in found("LEAK_SINGLE_FEATURE", experiment)] == ["critical"]


def test_duplicate_rows_across_folds_are_counted_with_their_targets(tmp_path: Path) -> None:
    frame = generated_table("binary", 300)
    twins = frame.iloc[:60].copy()
    twins.loc[twins.index[:20], "y"] = twins["y"].iloc[:20].map({"yes": "no", "no": "yes"})
    experiment = open_experiment(tmp_path, pd.concat([frame, twins]), holdout="none")
    (finding,) = found("LEAK_DUPLICATE_ROWS", experiment)
    assert finding.severity == "warning"
    apart = 0
    for fold in experiment.evaluator.folds:
        doubled = fold.valid[(fold.valid < 60) | (fold.valid >= 300)]
        partners = np.where(doubled < 60, doubled + 300, doubled - 300)
        apart += int(np.isin(partners, fold.train).sum())
    assert f"{apart} of 360 validation rows" in finding.evidence


def test_an_identifier_that_counts_the_rows_is_found(tmp_path: Path) -> None:
    frame = generated_table("binary", 300)
    frame.insert(0, "reading", np.arange(len(frame)) * 7 + 1000)
    experiment = open_experiment(tmp_path, frame, roles={"reading": Role.NUMERIC})
    (finding,) = found("ID_FEATURE", experiment)
    assert "reading" in finding.title


def test_rows_of_one_person_on_both_sides_are_found_unless_the_split_keeps_them_together(tmp_path: Path) -> None:
    frame = generated_table("binary", 300)
    frame["person"] = [f"p{number // 3}" for number in range(300)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    grouped = open_experiment(tmp_path / "a", frame, group_column="person")
    assert grouped.split.kind == "group"
    assert found("LEAK_GROUP_OVERLAP", grouped) == []
    mixed = open_experiment(tmp_path / "b", frame, id_columns=("person",))
    assert mixed.split.kind != "group"
    (finding,) = found("LEAK_GROUP_OVERLAP", mixed)
    assert "person" in finding.title


def test_folds_that_follow_time_are_clean_and_others_are_reported(tmp_path: Path) -> None:
    frame = generated_table("regression", 300)
    frame["day"] = pd.date_range("2023-01-01", periods=300).astype(str)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ordered = open_experiment(tmp_path / "a", frame, time_column="day")
    assert ordered.split.kind == "time"
    assert found("LEAK_TIME_ORDER", ordered) == []
    shuffled = open_experiment(tmp_path / "b", frame.sample(frac=1, random_state=0))
    assert shuffled.split.kind != "time"
    (finding,) = found("LEAK_TIME_ORDER", shuffled)
    assert finding.severity == "info"


def test_drift_into_the_sealed_rows_is_told_and_chance_is_not(tmp_path: Path) -> None:
    frame = generated_table("regression", 900)
    frame["day"] = pd.date_range("2022-01-01", periods=900).astype(str)
    frame["price"] = np.random.default_rng(3).normal(size=900) + np.where(np.arange(900) > 700, 4.0, 0.0)
    experiment = open_experiment(tmp_path, frame, time_column="day", holdout=0.2)
    titles = " ".join(row.title for row in found("HOLDOUT_DRIFT", experiment))
    assert "price" in titles
    assert "x1" not in titles


def test_dirty_cells_are_repeated_beside_the_verdict(tmp_path: Path) -> None:
    frame = generated_table("binary").astype({"x1": object})
    frame.loc[5, "x1"] = "oops"
    findings = found("DIRTY_CELLS", open_experiment(tmp_path, frame))
    assert any("x1" in row.evidence for row in findings)


def test_a_class_that_some_folds_never_see_is_found(tmp_path: Path) -> None:
    frame = generated_table("multiclass", 200)
    frame.loc[:2, "y"] = "rare"
    experiment = open_experiment(tmp_path, frame, holdout="none")
    findings = found("CLASS_MISSING", experiment)
    assert any("rare" in row.evidence for row in findings)


def test_a_check_after_the_deadline_is_not_applicable(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary", 100))
    experiment.deadline = Deadline(1e-9)
    assert {outcome.not_applicable for outcome in run_checks(experiment, "data")} == {"no time left"}


def test_an_unknown_check_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary", 100))
    with pytest.raises(NotFound, match="LEAK_TARGET_COPY"):
        run_checks(experiment, "data", ["LEAK_NOTHING"])
