"""Killed in the middle of a refinement, a run goes on where it was: at most the evaluation in flight is computed again."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.job_state import JobState
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings
from opened import generated_table

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def refined(run: RunFolder) -> list[dict[str, Any]]:
    return [entry.body for entry in run.journal.read("evaluation") if entry.body["origin"] == "refinement"]


async def done(jobs: Jobs, run: RunFolder, tool: str, **arguments: Any) -> JobState:
    job_id = await jobs.submit(run, tool, arguments)
    state = await jobs.wait(run, job_id, 90)
    assert state.status == "finished", state.error
    return state


async def test_a_worker_killed_in_mid_refinement_loses_at_most_one_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    generated_table("binary", 1_500).to_csv(path, index=False)
    home = tmp_path / "home"
    jobs = Jobs(Settings(home=home, allowed_dirs=(tmp_path,), threads=2, time_budget_s=60))
    run = create_run(home, "table")
    try:
        await done(jobs, run, "profile_dataset", path=str(path), target="y", time_budget_s=60)
        await done(jobs, run, "build_baselines", learners=["linear", "lightgbm", "extra_trees"], time_budget_s=30)
        await done(jobs, run, "run_ablation", time_budget_s=5)
        asked = {"iterations": 2, "time_budget_s": 20}
        job_id = await jobs.submit(run, "refine", asked)
        # The first time the work goes on by itself, the second time when it is asked for again.
        for kept in (2, 4):
            with anyio.fail_after(40):
                while len(refined(run)) < kept:
                    await anyio.sleep(0.02)
            state = jobs.state(run, job_id)
            assert state is not None
            os.killpg(state.pid, signal.SIGKILL)
        before = refined(run)
        with anyio.fail_after(5):
            while (state := jobs.state(run, job_id)) is not None and state.status == "running":
                await anyio.sleep(0.02)
        assert state is not None
        assert state.status == "interrupted"
        await done(jobs, run, "refine", **asked)
    finally:
        jobs.shutdown()
    computed = Counter(body["key"] for body in refined(run) if not body["cached"] and body["failure"] is None)
    finished = {body["key"] for body in before if not body["cut"] and body["failure"] is None}
    assert finished
    assert all(computed[key] == 1 for key in finished), "what was finished is never computed twice"
    assert sum(count - 1 for count in computed.values()) == 0
    decided = {plan["key"] for entry in run.journal.read("refinement") for plan in entry.body["plans"]}
    assert finished & decided, "what the killed worker had scored still takes part in the decision"
