"""Validation on a small real run: the verdict, the holdout that is read once, the saved model, and what little time leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import examination, final, final_fits
from mle_star.engine import holdout as sealed
from mle_star.engine import validation as validating
from mle_star.engine.baselines import build_baselines
from mle_star.engine.compare import interval_of_next
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.ensembling import build_ensemble
from mle_star.engine.errors import DeadlinePassed, InvalidInput, NotFound
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen, chosen, fit_final, mean_of
from mle_star.engine.final_model import FinalModel, load
from mle_star.engine.leaderboard import leaderboard
from mle_star.engine.pipeline import FittedSolution, TrainingRows, fit_solution
from mle_star.engine.plugins import NotApplicable
from mle_star.engine.serving import check_reload
from mle_star.engine.solution import Solution
from mle_star.engine.validation import Validation, validate
from opened import generated_table, open_experiment


def prepared(folder: Path, kind: str = "binary", n_rows: int = 400, **asked: object) -> Experiment:
    opened = open_experiment(folder, generated_table(kind, n_rows), **asked)
    build_baselines(opened, Deadline(60), ("linear", "decision_tree"))
    build_ensemble(opened, Deadline(10))
    opened.deadline = Deadline(60)
    return opened


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Validation]:
    experiment = prepared(tmp_path_factory.mktemp(request.param), request.param, holdout=0.25)
    return experiment, validate(experiment)


def test_under_time_order_the_intervals_are_those_of_the_next_block(tmp_path: Path) -> None:
    frame = generated_table("regression", 600)
    frame["day"] = pd.date_range("2024-01-01", periods=len(frame), freq="D").astype(str)
    # The target becomes noisier: every block is harder than those before it.
    frame["y"] += np.linspace(0.0, 3.0, len(frame)) * np.random.default_rng(1).normal(size=len(frame))
    opened = open_experiment(tmp_path, frame, time_column="day", holdout=0.2)
    build_baselines(opened, Deadline(20), ("linear", "dummy"))
    opened.deadline = Deadline(60)
    validation = validate(opened, checks=["LEAK_TARGET_COPY"])
    assert opened.split.kind == "time"
    assert validation.holdout is not None
    of_folds = interval_of_next(validation.cv_score, validation.cv_scores, opened.task.metric)
    low, high = validation.cv_interval
    # The sealed block is the hardest, and shows how much blocks can differ.
    assert low <= of_folds[0]
    assert high > of_folds[1]
    low, high = validation.holdout.interval
    assert low < validation.cv_score < validation.holdout.score < high


def status(validation: Validation) -> dict[str, str]:
    return {result.gate.key: result.status for result in validation.gates}


def test_every_gate_has_an_outcome_and_the_verdict_follows(pair: tuple[Experiment, Validation]) -> None:
    _, validation = pair
    outcomes = status(validation)
    assert outcomes["improvement"] == outcomes["p_value"] == outcomes["reload"] == "passed"
    assert outcomes["fairness"] == "not applicable"
    assert (validation.verdict == "READY") == ("failed" not in outcomes.values())
    assert validation.reasons


def test_the_estimates_carry_intervals(pair: tuple[Experiment, Validation]) -> None:
    _, validation = pair
    low, high = validation.cv_interval
    assert low < validation.cv_score < high
    assert validation.holdout.interval[0] <= validation.holdout.score <= validation.holdout.interval[1]
    assert [row.baseline for row in validation.improvements] == ["dummy", "linear"]


def test_the_saved_model_saw_all_rows_and_loads(pair: tuple[Experiment, Validation]) -> None:
    experiment, validation = pair
    model = load(experiment.run.model_path)
    assert validation.model_rows == "all rows"
    assert model.n_rows == experiment.dataset.n_rows
    about = json.loads((experiment.run.model_path / "about.json").read_text())
    assert about["holdout"] == validation.holdout.score
    assert validation.reload.fresh_process
    assert validation.reload.changed == 0


def test_the_holdout_score_is_that_of_a_model_without_the_sealed_rows(pair: tuple[Experiment, Validation]) -> None:
    experiment, validation = pair
    (entry,) = experiment.run.journal.read("holdout_read")
    assert entry.body["score"] == validation.holdout.score
    assert entry.body["n_rows"] == len(experiment.split.holdout)


def test_the_record_is_json(pair: tuple[Experiment, Validation]) -> None:
    experiment, validation = pair
    body = experiment.run.journal.last("validation").body
    assert body == json.loads(json.dumps(validation.to_json()))


def test_a_second_validation_repeats_the_recorded_holdout_without_reading(
    pair: tuple[Experiment, Validation], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, first = pair
    touched: list[int] = []
    take = type(experiment.dataset.table).take

    def watched(table: object, positions: np.ndarray) -> object:
        touched.append(int(np.isin(positions, experiment.split.holdout).all()))
        return take(table, positions)

    monkeypatch.setattr(type(experiment.dataset.table), "take", watched)
    experiment.deadline = Deadline(60)
    second = validate(experiment)
    assert second.holdout == first.holdout
    assert "recorded" in second.holdout_note
    assert touched
    assert sum(touched) == 0
    assert len(list(experiment.run.journal.read("holdout_read"))) == 1


def test_reading_a_holdout_twice_is_an_error(pair: tuple[Experiment, Validation]) -> None:
    experiment, _ = pair
    with pytest.raises(RuntimeError, match="read before"):
        sealed.read_holdout(experiment, chosen(experiment), load(experiment.run.model_path), Deadline(5))


def test_a_holdout_spent_on_another_choice_says_nothing_about_this_one(tmp_path: Path) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    experiment.record(
        "holdout_read", {"choice": "another", "score": 0.9, "interval": None, "n_rows": 100, "members": 1}
    )
    validation = validate(experiment)
    assert status(validation)["holdout_gap"] == "not applicable"
    assert "another choice" in validation.holdout_note
    assert validation.holdout is None
    assert described(experiment)["holdout"] is None


def described(experiment: Experiment) -> dict[str, object]:
    about = json.loads((experiment.run.model_path / "about.json").read_text())
    assert isinstance(about, dict)
    return about


def averaged(experiment: Experiment) -> Chosen:
    """The two learners as a weighted mean, whether or not the run would keep it."""
    members = [experiment.evaluator.recall(row.evaluation.solution) for row in leaderboard(experiment)]
    members = [member for member in members if member is not None and member.solution.model.component != "dummy"][:2]
    return Chosen("weights", tuple(members), (0.6, 0.4), members[0].scores)


def offered(experiment: Experiment, choice: Chosen, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The experiment with this choice, and without the checks that cost time."""
    monkeypatch.setattr(validating, "chosen", lambda _: choice)
    # Under 15 s no other process is started to load the model.
    experiment.deadline = Deadline(14)
    return experiment


def test_a_model_without_all_members_does_not_break_the_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    choice = averaged(experiment)
    slow = replace(choice.members[1], growth=1e9)
    partial = replace(choice, members=(choice.members[0], slow))
    first = validate(offered(experiment, partial, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert (first.holdout, first.holdout_note, first.verdict) == (None, validating.NO_TIME, "NOT READY")
    assert list(experiment.run.journal.read("holdout_read")) == []
    assert described(experiment)["cross_validation"] is None
    second = validate(offered(experiment, choice, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert second.holdout is not None
    assert second.holdout.members == 2
    assert described(experiment)["holdout"] == second.holdout.score


def test_a_fallback_to_one_member_does_not_break_the_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    choice = averaged(experiment)

    def broken(opened: Experiment, asked: Chosen, positions: np.ndarray, deadline: Deadline) -> FinalModel:
        if asked.strategy != "single":
            raise MemoryError("too large")
        return fit_final(opened, asked, positions, deadline)

    monkeypatch.setattr(final_fits, "fit_final", broken)
    validation = validate(offered(experiment, choice, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert (validation.holdout, validation.verdict) == (None, "NOT READY")
    assert list(experiment.run.journal.read("holdout_read")) == []
    assert described(experiment)["strategy"] == "single"


def test_a_stack_that_the_clock_breaks_off_leaves_the_best_of_its_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    stack = replace(averaged(experiment), strategy="stack_linear", weights=None)
    second = stack.members[1].solution

    def stopped(rows: TrainingRows, solution: Solution, *more: Any) -> FittedSolution:
        if solution == second:
            raise DeadlinePassed("the time budget ended while fitting")
        return fit_solution(rows, solution, *more)

    monkeypatch.setattr(final, "fit_solution", stopped)
    validation = validate(offered(experiment, stack, monkeypatch), checks=["LEAK_TARGET_COPY"])
    saved = load(experiment.run.model_path)
    assert [member.solution for member in saved.members] == [stack.members[0].solution]
    assert len(saved.predict_table(experiment.dataset.table)) == experiment.dataset.n_rows
    assert validation.verdict == "NOT READY"
    assert "the saved model holds 1 of 2 members" in validation.reasons[0]
    about = described(experiment)
    assert (about["strategy"], about["cross_validation"]) == ("single", stack.members[0].mean)
    assert (about["holdout"], validation.holdout) == (None, None)


def test_a_model_that_stays_on_development_rows_carries_its_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    choice = chosen(experiment)
    monkeypatch.setattr(final_fits, "_CHECKS_SHARE", 1e9)
    validation = validate(offered(experiment, choice, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert validation.model_rows == "development rows"
    assert validation.holdout is not None
    assert described(experiment)["holdout"] == validation.holdout.score
    load(experiment.run.model_path)


def test_a_stack_that_the_clock_breaks_off_late_leaves_the_mean_of_its_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepared(tmp_path, holdout="none")
    first, last = averaged(experiment).members
    second = experiment.evaluator.evaluate(default_solution("svm_linear", experiment.shape), Deadline(30))
    third = replace(last, fold_seconds=(1e6,) * len(last.fold_seconds))
    stack = Chosen("stack_linear", (first, second, third), None, first.scores)
    validation = validate(offered(experiment, stack, monkeypatch), checks=["LEAK_TARGET_COPY"])
    saved, about = load(experiment.run.model_path), described(experiment)
    assert [member.solution for member in saved.members] == [first.solution, second.solution]
    assert (about["strategy"], validation.verdict) == ("mean", "NOT READY")
    assert about["cross_validation"] == pytest.approx(mean_of(experiment, [first, second]).mean)
    assert about["cross_validation"] not in (stack.mean, first.mean, second.mean)
    assert "the saved model holds 2 of 3 members" in validation.reasons[0]


def test_members_that_there_is_time_for_are_fitted_on_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    choice = averaged(experiment)
    first, second = choice.members
    slow = replace(second, growth=1e9)
    choice = replace(choice, members=(first, slow), strategy="mean", weights=None)
    fits = final_fits.FinalFits(experiment, choice)
    dev = experiment.split.development
    fits.model = fit_final(experiment, replace(choice, members=(first, second)), dev, Deadline(60))
    fits.fitted, fits.rows = choice, "development rows"
    fits.on_all_rows(None)
    assert fits.rows == "all rows; 1 of 2 members on development rows"
    saved = load(experiment.run.model_path)
    assert [member.n_rows for member in saved.members] == [experiment.dataset.n_rows, len(dev)]
    assert fits.complete
    assert described(experiment)["fitted_on"] == fits.rows
    assert np.isfinite(saved.predict_table(experiment.dataset.table.take(np.arange(5)))).all()


def test_where_a_fit_on_all_rows_fails_the_earlier_member_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    choice = averaged(experiment)
    second = choice.members[1].solution

    def broken(rows: TrainingRows, solution: Solution, *more: Any) -> FittedSolution:
        if solution == second and len(rows.positions) == experiment.dataset.n_rows:
            raise MemoryError("too large")
        return fit_solution(rows, solution, *more)

    monkeypatch.setattr(final, "fit_solution", broken)
    validation = validate(offered(experiment, choice, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert validation.model_rows == "all rows; 1 of 2 members on development rows"
    assert any("on all rows failed" in note and "too large" in note for note in validation.notes)
    assert validation.holdout is not None
    assert described(experiment)["holdout"] == validation.holdout.score
    assert (status(validation)["reload"], validation.verdict) == ("passed", "READY")


def test_a_model_on_a_sample_of_the_rows_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepared(tmp_path, holdout="none")
    member = averaged(experiment).members[0]
    slow = replace(member, fold_seconds=tuple(28 / member.refit_seconds * part for part in member.fold_seconds))
    choice = Chosen("single", (slow,), (1.0,), slow.scores)
    validation = validate(offered(experiment, choice, monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert validation.model_rows.endswith(" of 400 (all rows)")
    assert described(experiment)["fitted_on"] == validation.model_rows


def test_a_learner_stopped_by_the_clock_leaves_the_validation_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepared(tmp_path, holdout=0.25)

    def stopped(*_: object, **__: object) -> object:
        raise DeadlinePassed("the time budget ended while fitting")

    monkeypatch.setattr(examination, "fit_solution", stopped)
    validation = validate(offered(experiment, chosen(experiment), monkeypatch), checks=["TRAIN_VALID_GAP"])
    assert validation.examination is None
    assert validation.outcomes[0].not_applicable == validating.NO_TIME
    assert status(validation)["train_gap"] == "not applicable"
    assert validation.verdict == "NOT READY"


def test_a_saved_model_that_cannot_be_loaded_fails_its_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepared(tmp_path, holdout="none")
    save = final_fits.save

    def damaged(model: FinalModel, folder: Path, about: dict[str, object]) -> None:
        save(model, folder, about)
        (folder / "model.joblib").write_bytes(b"nothing")

    monkeypatch.setattr(final_fits, "save", damaged)
    validation = validate(offered(experiment, chosen(experiment), monkeypatch), checks=["LEAK_TARGET_COPY"])
    assert status(validation)["reload"] == "failed"
    assert validation.reload is not None
    assert validation.reload.changed == validation.reload.rows > 0
    assert any("does not match its manifest" in note for note in validation.notes)


def test_a_fresh_process_that_fails_is_a_failed_reload(pair: tuple[Experiment, Validation], tmp_path: Path) -> None:
    experiment, _ = pair
    model, frame = load(experiment.run.model_path), experiment.dataset.frame.iloc[:5]
    reload = check_reload(model, tmp_path / "nowhere", frame, Deadline(60))
    assert not isinstance(reload, NotApplicable)
    assert (reload.changed, reload.fresh_process) == (5, True)
    assert reload.problem is not None
    assert "is not a model folder" in reload.problem


def test_what_rests_on_predictions_that_a_stack_learnt_from_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = generated_table("binary", 200)
    experiment = open_experiment(tmp_path, frame, holdout="none")
    build_baselines(experiment, Deadline(30), ("linear",))
    (dummy,) = [row for row in leaderboard(experiment) if row.family == "dummy"]
    member = experiment.evaluator.recall(dummy.evaluation.solution)
    assert member is not None
    stack = Chosen("rank_mean", (member, member), None, member.scores)
    monkeypatch.setattr("mle_star.engine.checks.constant_predictions.chosen", lambda _: stack)
    validation = validate(offered(experiment, stack, monkeypatch), checks=["CONSTANT_PREDICTIONS"])
    assert validation.oof_approximate
    assert "approximate: rank_mean learnt on these rows" in validation.findings[0].evidence


def test_without_a_holdout_the_gate_is_not_applicable(tmp_path: Path) -> None:
    validation = validate(prepared(tmp_path, holdout="none"))
    assert validation.holdout is None
    assert status(validation)["holdout_gap"] == "not applicable"
    assert validation.speed is not None


def test_a_planted_leak_makes_the_model_not_ready(tmp_path: Path) -> None:
    frame = generated_table("binary")
    frame["outcome"] = frame["y"].map({"yes": 1, "no": 2})
    experiment = open_experiment(tmp_path, frame)
    build_baselines(experiment, Deadline(60), ("linear",))
    validation = validate(experiment, checks=["LEAK_TARGET_COPY"])
    assert validation.verdict == "NOT READY"
    assert status(validation)["critical_findings"] == "failed"
    assert [outcome.code for outcome in validation.outcomes] == ["LEAK_TARGET_COPY"]


def test_no_time_left_is_never_ready_and_never_raises(tmp_path: Path) -> None:
    experiment = prepared(tmp_path, holdout=0.25)
    experiment.deadline = Deadline(0.01)
    validation = validate(experiment)
    assert validation.verdict == "NOT READY"
    assert "passed" not in {status(validation)[key] for key in ("critical_findings", "reload")}


def test_gates_can_be_changed_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    experiment = prepared(tmp_path, n_rows=200)
    validation = validate(experiment, gates=["latency=0.0001", "train_gap=off"])
    assert status(validation)["latency"] == "failed"
    assert "train_gap" not in status(validation)
    with pytest.raises(InvalidInput):
        validate(experiment, gates=["nothing=1"])
    with pytest.raises(NotFound):
        validate(experiment, checks=["NOTHING"])
