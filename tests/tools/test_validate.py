"""The validate tool: a small report with the verdict first, and the gates as an agent writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.errors import InvalidInput
from mle_star.engine.experiment import Experiment
from mle_star.tools.validate import TOOL, ValidateReport, ValidateRequest
from opened import generated_table, open_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    frame = generated_table("binary")
    for number in range(12):
        frame[f"copy_{number}_{'x' * 80}"] = frame["y"].map({"yes": 1, "no": 2})
    opened = open_experiment(tmp_path_factory.mktemp("leaky"), frame, holdout=0.25)
    build_baselines(opened, Deadline(30), ("decision_tree",))
    opened.deadline = Deadline(14)
    return opened


@pytest.fixture(scope="module")
def report(experiment: Experiment) -> ValidateReport:
    answer = TOOL.work(ValidateRequest(), experiment)
    assert isinstance(answer, ValidateReport)
    return answer


def test_the_summary_says_the_verdict_and_why(report: ValidateReport) -> None:
    assert report.verdict == "NOT READY"
    assert report.summary.startswith("NOT READY: ROC AUC")
    assert "profile_dataset" in report.next
    assert report.findings[0].severity == "critical"


def test_the_brief_report_is_small(report: ValidateReport) -> None:
    assert len(report.model_dump_json()) / 3.5 <= 2_000
    assert len(report.digest()) / 3.5 <= 2_000


def test_the_files_are_where_the_report_says(report: ValidateReport) -> None:
    assert Path(report.model, "manifest.json").is_file()
    assert Path(report.report_html).read_text().startswith("<!doctype html>")
    assert json.loads(Path(report.report_json).read_text())["validation"]["verdict"] == report.verdict
    assert Path(report.leaderboard_csv).is_file()


def test_a_gate_that_does_not_exist_is_refused(experiment: Experiment) -> None:
    with pytest.raises(InvalidInput, match="latency"):
        TOOL.work(ValidateRequest(gates=["speed=3"]), experiment)


def test_the_description_is_short() -> None:
    assert len(TOOL.description) <= 300
