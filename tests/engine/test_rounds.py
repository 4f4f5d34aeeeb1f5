"""Later rounds of a run: what there was no time for is tried again, and a better combination of an earlier round stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mle_star.engine import affordable, ensembling
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.ensembling import EnsembleResult, build_ensemble
from mle_star.engine.evaluation import fit_seconds
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import chosen
from mle_star.engine.leaderboard import best_single
from mle_star.engine.plans import plans_for
from mle_star.engine.plugins import Ensemble
from mle_star.engine.refinement import refine
from mle_star.engine.report import write_report
from mle_star.engine.solution import Solution
from mle_star.engine.validation import validate
from opened import generated_table, open_experiment


def scored(folder: Path, *learners: str) -> Experiment:
    experiment = open_experiment(folder, generated_table("binary"))
    build_baselines(experiment, Deadline(30), learners)
    return experiment


def late(experiment: Experiment, learner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a learner take more time than there ever is."""
    real = type(experiment.evaluator).in_time

    def in_time(evaluator: object, solution: Solution, deadline: Deadline) -> bool:
        return solution.model.component != learner and real(evaluator, solution, deadline)

    monkeypatch.setattr(type(experiment.evaluator), "in_time", in_time)


def test_plans_there_was_no_time_for_come_again_behind_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = scored(tmp_path, "linear")
    solution = best_single(experiment).evaluation.solution
    with monkeypatch.context() as patched:
        late(experiment, "lightgbm", patched)
        refine(experiment, Deadline(20), "model", outer=1, inner=3)
    (step,) = experiment.run.journal.read("refinement")
    failures = {plan["text"]: plan["failure"] for plan in step.body["plans"]}
    assert failures["lightgbm"].startswith("timeout")
    assert None in failures.values()
    plans = list(plans_for(experiment, solution, solution.model, (), (), 4))
    proposed = [plan.text for plan in plans]
    assert proposed[-1] == "lightgbm"
    assert proposed.count("lightgbm") == 1
    experiment.evaluator.evaluate(plans[-1].solution, Deadline(20))
    assert "lightgbm" not in [plan.text for plan in plans_for(experiment, solution, solution.model, (), (), 4)]


def test_a_block_whose_plans_take_too_long_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = scored(tmp_path, "linear")
    monkeypatch.setattr(
        type(experiment.evaluator),
        "in_time",
        lambda evaluator, solution, deadline: solution.model.component == "linear",
    )
    refine(experiment, Deadline(20), outer=3, inner=2)
    blocks = {entry.body["block"] for entry in experiment.run.journal.read("refinement")}
    assert len(blocks) > 1


def combined(experiment: Experiment, result: EnsembleResult, mean: float) -> EnsembleResult:
    """The result as one of an earlier round with this score on every fold."""
    return replace(result, mean=mean, scores=(mean,) * len(result.scores))


def test_a_better_combination_of_an_earlier_round_stays(tmp_path: Path) -> None:
    experiment = scored(tmp_path, "linear", "extra_trees", "lightgbm")
    first = build_ensemble(experiment, Deadline(20))
    assert first.kept
    for mean, stays in ((first.mean + 0.001, True), (first.mean - 0.001, False), (first.mean, False)):
        again = build_ensemble(experiment, Deadline(20), earlier=combined(experiment, first, mean))
        assert ("earlier round" in again.reason) is stays
        assert again.mean == (mean if stays else first.mean)
        assert chosen(experiment).mean == pytest.approx(again.mean)


def test_a_later_round_tries_what_led_and_what_comes_first_and_keeps_the_other_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = scored(tmp_path, "linear", "extra_trees", "lightgbm")
    first = build_ensemble(experiment, Deadline(20))
    scored_again: list[str] = []
    score = ensembling.cross_fitted_scores

    def watched(opened: Experiment, strategy: Ensemble, *rest: Any) -> tuple[float, ...]:
        scored_again.append(strategy.key)
        return score(opened, strategy, *rest)

    monkeypatch.setattr(ensembling, "cross_fitted_scores", watched)
    again = build_ensemble(experiment, Deadline(20), earlier=replace(first, strategy="weights"))
    assert scored_again == ["blend", "weights"]
    assert {row.strategy: row.score for row in again.tried} == {row.strategy: row.score for row in first.tried}
    for row in again.tried:
        assert row.score is not None
        assert row.gain == pytest.approx(row.score - again.best_single_cross_fitted)
    experiment.deadline = Deadline(14)
    files = write_report(experiment, validate(experiment, checks=["LEAK_TARGET_COPY"]))
    assert all(f"<td>{row.strategy}</td>" in files.html.read_text(encoding="utf-8") for row in again.tried)
    assert len(first.tried) > 4


def test_a_combination_stays_where_nothing_can_be_fitted_in_the_time_but_not_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = scored(tmp_path, "linear", "extra_trees", "lightgbm")
    first = build_ensemble(experiment, Deadline(20))
    assert first.kept
    with monkeypatch.context() as patched:
        patched.setattr(ensembling, "NO_SCORE", Exception)
        patched.setattr(ensembling, "cross_fitted_scores", lambda *_: 1 / 0)
        again = build_ensemble(experiment, Deadline(20), earlier=first)
    assert (again.kept, again.members) == (True, first.members)
    monkeypatch.setattr(ensembling, "can_be_used", lambda *_: False)
    monkeypatch.setattr(affordable, "can_be_used", lambda *_: False)
    alone = build_ensemble(experiment, Deadline(20), earlier=first)
    assert not alone.kept


@pytest.mark.parametrize(("share", "kept"), [(1.6, True), (1.2, False)])
def test_a_combination_that_can_be_fitted_once_is_taken_where_nothing_else_can_be_fitted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, kept: bool
) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary"), holdout=0.3)
    build_baselines(experiment, Deadline(30), ("linear", "extra_trees", "lightgbm"))
    first = build_ensemble(experiment, Deadline(20))
    assert first.kept
    solutions = [Solution.from_json(member.solution) for member in first.members]
    members = [member for solution in solutions if (member := experiment.evaluator.recall(solution)) is not None]
    assert experiment.one_final_fit == pytest.approx(0.7, abs=0.01)
    monkeypatch.setattr(Experiment, "seconds_for_fits", share * fit_seconds(members, experiment.one_final_fit))
    monkeypatch.setattr(ensembling, "affordable_members", lambda *_: [])
    again = build_ensemble(experiment, Deadline(20), [first.strategy])
    assert again.kept is kept
    if kept:
        assert again.members == first.members


def test_under_time_order_the_newest_rows_are_never_left_out(tmp_path: Path) -> None:
    frame = generated_table("binary")
    frame["day"] = pd.date_range("2024-01-01", periods=len(frame), freq="D").astype(str)
    experiment = open_experiment(tmp_path, frame, time_column="day", holdout=0.2)
    assert experiment.one_final_fit == experiment.final_fits > 1.7
