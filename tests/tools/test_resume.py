"""A whole run that a second worker goes on with: the folds of the first one stay, and what it scored counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from mle_star.engine import experiment as opening
from mle_star.engine.evaluation import FoldPlan
from mle_star.engine.experiment import Resources
from mle_star.engine.run import create_run
from mle_star.tools.whole_run import WorkflowRequest, run_workflow
from opened import generated_table


def test_with_less_time_left_the_run_keeps_its_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.csv"
    generated_table("binary", 200).to_csv(table, index=False)
    run = create_run(tmp_path, "table")
    monkeypatch.setattr(opening, "choose_plan", lambda *given: FoldPlan(4 if given[3] > 15.0 else 3, 1, None))
    scored = []
    for budget_s in (20.0, 10.0):
        request = WorkflowRequest(
            path=str(table), target="y", time_budget_s=budget_s, learners=["linear"], search_iterations=0,
            refinement_iterations=0,
        )  # fmt: skip
        run_workflow(request, run, Resources(2, tmp_path / "cache"), lambda _: None)
        entries = [entry.body for entry in run.journal.read("evaluation")]
        assert {entry["plan"]["n_folds"] for entry in entries} == {4}
        scored.append(len(entries))
    # What is scored is not scored again.
    assert scored[1] == scored[0]
    assert len(list(run.journal.read("budget"))) == 1
