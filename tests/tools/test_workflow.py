"""The workflow: a later step does what it needs first, time is shared, and a step that only improves may fail."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from mle_star.engine.errors import DeadlinePassed, InvalidInput, NotFound
from mle_star.engine.run import RunFolder, create_run
from mle_star.engine.windows import read_window
from mle_star.tools import run_ablation, workflow
from mle_star.tools.refine import RefineReport
from mle_star.tools.workflow import PHASES, WORKFLOW, perform, tools
from opened import generated_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    generated_table("binary", 200).to_csv(path, index=False)
    return path


def do(name: str, run: RunFolder, home: Path, events: list[dict[str, Any]] | None = None, **arguments: Any) -> Any:
    return perform(name, arguments, run, home, 2, (events if events is not None else []).append)


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


def test_a_failed_ablation_does_not_lose_the_run(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(request: object, experiment: object) -> None:
        raise DeadlinePassed("the ablation came too late")

    known = {**tools(), "run_ablation": dataclasses.replace(run_ablation.TOOL, work=late)}
    monkeypatch.setattr(workflow, "tools", lambda: known)
    run = create_run(tmp_path, "t")
    report = do(WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=8, refinement_iterations=1)
    assert report.phases["run_ablation"]["status"] == "failed"
    assert "too late" in report.phases["run_ablation"]["summary"]
    assert report.phases["validate"]["verdict"]


@pytest.mark.parametrize("time_left", [True, False])
def test_time_that_the_final_fits_do_not_need_goes_to_a_second_round_of_refinement(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_left: bool
) -> None:
    rounds = iter([("a block", 0.5, 0.6), ("another block", 0.6, 0.7), ("a third block", 0.7, 0.8)])

    def quick(request: object, experiment: object) -> RefineReport:
        kept, before, after = next(rounds)
        return RefineReport(summary=f"{kept} was kept.", before=before, after=after, kept=[kept])

    known = {**tools(), "refine": dataclasses.replace(tools()["refine"], work=quick)}
    monkeypatch.setattr(workflow, "tools", lambda: known)
    if not time_left:
        monkeypatch.setattr(workflow, "_WORTH_ANOTHER_ROUND", 2.0)
    run = create_run(tmp_path, "t")
    report = do(WORKFLOW, run, tmp_path, path=str(table), target="y", time_budget_s=10, learners=["linear", "lightgbm"])
    told = report.phases["refine"]
    assert told["kept"] == (["a block", "another block"] if time_left else ["a block"])
    assert (told["before"], told["after"]) == (0.5, 0.7 if time_left else 0.6)
    assert ("another block was kept" in told["summary"]) == time_left
    assert list(report.phases) == list(PHASES)
    finished = [entry.body["phase"] for entry in run.journal.read("phase") if entry.body["status"] == "finished"]
    assert finished.count("refine") == (2 if time_left else 1)


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
