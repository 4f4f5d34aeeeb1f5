"""The workflow: a later step does what it needs first, time is shared, and a step that only improves may fail."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from mle_star.engine import refinement
from mle_star.engine.deadline import Deadline
from mle_star.engine.errors import DeadlinePassed, InvalidInput, NotFound
from mle_star.engine.experiment import Experiment
from mle_star.engine.run import RunFolder, create_run
from mle_star.engine.solution import Block, Solution
from mle_star.engine.task import resolve_metric
from mle_star.engine.windows import read_window
from mle_star.tools import run_ablation, whole_run
from mle_star.tools.workflow import PHASES, WORKFLOW, perform, tools
from opened import generated_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    generated_table("binary", 200).to_csv(path, index=False)
    return path


def do(name: str, run: RunFolder, home: Path, events: list[dict[str, Any]] | None = None, **arguments: Any) -> Any:
    return perform(name, arguments, run, home, 2, (events if events is not None else []).append)


@pytest.mark.slow
def test_a_late_step_does_the_earlier_ones_first_and_says_so(table: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    profile = do("profile_dataset", run, tmp_path, path=str(table), target="y", time_budget_s=10)
    assert profile.task == "binary"
    assert profile.did_first == []
    report = do("build_ensemble", run, tmp_path, time_budget_s=10)
    assert report.did_first == ["build_baselines"]
    assert report.windows_changed == [6]
    again = do("build_ensemble", run, tmp_path, time_budget_s=5)
    assert again.did_first == []


@pytest.mark.slow
def test_the_whole_run_ends_in_time_with_every_phase_and_a_model(table: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    events: list[dict[str, Any]] = []
    started = time.monotonic()
    report = do(WORKFLOW, run, tmp_path, events, path=str(table), target="y", time_budget_s=15, refinement_iterations=1)
    assert time.monotonic() - started < 15 * 1.05 + 3
    assert list(report.phases) == list(PHASES)
    assert (run.model_path / "manifest.json").exists()
    assert Path(report.phases["validate"]["report_html"]).exists()
    assert {event["phase"] for event in events} >= {"profile", "baselines", "refinement", "validation"}
    for number in (1, 2, 3, 4, 5, 6, 7):
        assert read_window(run.journal, number).shown, f"window {number} is empty"


@pytest.mark.slow
def test_a_failed_ablation_does_not_lose_the_run(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(request: object, experiment: object) -> None:
        raise DeadlinePassed("the ablation came too late")

    known = {**tools(), "run_ablation": dataclasses.replace(run_ablation.TOOL, work=late)}
    monkeypatch.setattr(whole_run, "tools", lambda: known)
    run = create_run(tmp_path, "t")
    report = do(WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=8, refinement_iterations=1)
    assert report.phases["run_ablation"]["status"] == "failed"
    assert "too late" in report.phases["run_ablation"]["summary"]
    assert report.phases["validate"]["verdict"]


@pytest.mark.parametrize("time_left", [True, False])
@pytest.mark.slow
def test_time_that_the_final_fits_do_not_need_goes_to_more_rounds_of_refinement(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_left: bool
) -> None:
    rounds: list[float] = []
    real = refinement.refine

    def watched(experiment: Experiment, deadline: Deadline, *arguments: Any, **options: Any) -> refinement.Refinement:
        rounds.append(deadline.budget_s)
        # The round before the ensemble leaves time over, whatever this machine does in it.
        return real(experiment, deadline if len(rounds) > 1 else Deadline(0.3), *arguments, **options)

    monkeypatch.setattr(refinement, "refine", watched)
    monkeypatch.setattr(whole_run, "_WORTH_ANOTHER_ROUND", 0.01 if time_left else 2.0)
    run = create_run(tmp_path, "t")
    started = time.monotonic()
    report = do(WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=15, learners=["linear", "lightgbm"])
    assert time.monotonic() - started < 15 * 1.05 + 3
    done = [entry.body["phase"] for entry in run.journal.read("phase") if entry.body["status"] == "finished"]
    after = done[done.index("refine") :]
    once = ["refine", "build_ensemble", "validate"]
    if time_left:
        assert after[:4] == ["refine", "build_ensemble", "refine", "build_ensemble"]
        assert after[-1] == "validate"
        # Combining once more is never left without the second it needs.
        later = list(run.journal.read("ensemble"))[1:]
        assert all(entry.body["tried"][0]["score"] is not None for entry in later)
    else:
        assert after == once
        assert len(rounds) == 1
    assert list(report.phases) == list(PHASES)
    told, steps = report.phases["refine"], list(run.journal.read("refinement"))
    assert len(told["kept"]) + len(told["not_kept"]) == len(steps) > 0
    reports = [entry.body["report"] for entry in run.journal.read("report") if entry.body["tool"] == "refine"]
    assert len(reports) == len(rounds)
    assert reports[-1] == told


@pytest.mark.slow
def test_a_later_round_that_fails_leaves_what_the_first_one_reported(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[float] = []
    real = refinement.refine

    def second_fails(experiment: Experiment, deadline: Deadline, *arguments: Any, **options: Any) -> Any:
        rounds.append(deadline.budget_s)
        if len(rounds) > 1:
            raise DeadlinePassed("this round came too late")
        return real(experiment, Deadline(0.5), *arguments, **options)

    monkeypatch.setattr(refinement, "refine", second_fails)
    monkeypatch.setattr(whole_run, "_WORTH_ANOTHER_ROUND", 0.01)
    run = create_run(tmp_path, "t")
    report = do(WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=10, learners=["linear", "lightgbm"])
    assert len(rounds) == 2
    assert report.phases["refine"]["status"] != "failed"
    assert report.phases["refine"]["summary"].endswith("A later round failed: this round came too late.")
    assert len(report.phases["refine"]["plans"]) > 0
    assert report.phases["validate"]["verdict"]


def test_two_rounds_are_one_that_ends_at_the_better_of_their_ends() -> None:
    rmse = resolve_metric("rmse", "regression")
    step = refinement.Step("model.linear", "linear", 5.0, 4.0, True, "kept", ())
    one, other = (Solution.of([Block.of("model", learner)]) for learner in ("linear", "lightgbm"))
    first = refinement.Refinement((step,), one, 5.0, 4.0, "time budget used")
    for after, better in ((4.5, one), (3.5, other)):
        both = first.followed_by(refinement.Refinement((step, step), other, 4.2, after, "4 blocks taken"), rmse)
        assert (both.solution, both.before, both.after) == (better, 5.0, min(4.0, after))
        assert (len(both.steps), both.ended) == (3, "4 blocks taken")


def test_steps_without_iterations_are_left_out(table: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    report = do(
        WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=6, search_iterations=0,
        refinement_iterations=0, learners=["linear"],
    )  # fmt: skip
    assert list(report.phases) == ["profile_dataset", "build_baselines", "build_ensemble", "validate"]


def test_a_profile_that_fails_records_nothing(table: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    with pytest.raises(InvalidInput, match="y"):
        do("profile_dataset", run, tmp_path, path=str(table), target="yy")
    assert run.journal.last("profile") is None
    with pytest.raises(NotFound, match="profile_dataset"):
        do("build_baselines", run, tmp_path)


def test_an_unknown_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="build_baselines"):
        do("make_coffee", create_run(tmp_path, "t"), tmp_path)
