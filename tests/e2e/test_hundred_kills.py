"""One run whose workers and servers are killed a hundred times ends as one that nobody disturbed.

Real tools on a small table. Each server is a process that asks for the step in hand and waits; a kill comes at a random moment:
before the worker has its order, while it loads, or in or after the next evaluation. Half of the kills are of the worker, which its
server replaces once; the others are of the server, whose worker must follow, or of both. Then the same call comes again.

Left out is `refine`: of solutions about as good it starts from the quickest, so two runs need not try the same, killed or not
(`test_resume.py` kills it). One solution is clearly the best here (there are too few rows for another linear one, with numbers in
bins), so that nothing else hangs on seconds either.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.job_state import JobState, read_state
from served import group_members

KILLS = 100
PATIENCE_S = 60.0
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("build_baselines", {"learners": ["linear", "naive_bayes", "decision_tree", "knn", "hist_gradient_boosting"]}),
    ("run_ablation", {}),
    ("build_ensemble", {}),
)
NEVER_CUT_S = 3_000.0
"""A budget that no step comes near: what the clock cuts could differ."""
SERVER = """
import anyio, json, sys
from pathlib import Path
from mle_star.engine.run import RunFolder
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings
async def main():
    home, run, tool, arguments = sys.argv[1:]
    jobs = Jobs(Settings(home=Path(home), threads=2, warm=False))
    try:
        job_id = await jobs.submit(RunFolder(Path(run)), tool, json.loads(arguments))
        await jobs.wait(RunFolder(Path(run)), job_id, 600)
    finally:
        jobs.shutdown()
anyio.run(main)
"""


class Killer:
    """Kills at random moments, spread over a run of so many evaluations, until it has done so often enough."""

    def __init__(self, kills: int, evaluations: int) -> None:
        self.kills = kills
        self.left = kills
        self.workers: set[int] = set()
        self._evaluations = evaluations
        self._random = random.Random(7)

    def disturb(self, server: subprocess.Popen[bytes], run: RunFolder, tool: str) -> None:
        """Let a server do its step, or kill it or its worker in the middle; returns when the server has ended."""
        while self.left and self._comes(server, run, tool):
            victim = self._random.choice(("worker", "worker", "server", "both"))
            state = read_state(run)
            pid = state.pid if state is not None and state.status == "running" else 0
            self.workers |= {pid} - {0}
            self.left -= 1
            if victim != "server" and pid:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            if victim != "worker" or not pid:
                server.kill()
                break
        server.wait(PATIENCE_S)

    def _comes(self, server: subprocess.Popen[bytes], run: RunFolder, tool: str) -> bool:
        """Wait for the moment of the next kill; False when the step ends before."""
        done = computed(run)
        # Where the run is ahead of the kills, the next one comes before another evaluation can.
        behind = done / max(1, self._evaluations) <= 1 - self.left / self.kills
        after = done + (self._random.choice((0, 1)) if behind else 0)
        delay_s = self._random.choice((0.3, 1.0, 1.5 if behind else 1.0)) * self._random.random()
        until, reached = time.monotonic() + PATIENCE_S, None
        while server.poll() is None and not ended(read_state(run), tool):
            now = time.monotonic()
            assert now < until, "the step does not go on"
            if reached is None and computed(run) >= after:
                reached = now
            if reached is not None and now - reached >= delay_s:
                return True
            time.sleep(0.01)
        return False


def ended(state: JobState | None, tool: str) -> bool:
    return state is not None and state.tool == tool and state.status == "finished"


def computed(run: RunFolder) -> int:
    return sum(not entry.body["cached"] for entry in run.journal.read("evaluation"))


def whole_run(folder: Path, table: Path, killer: Killer) -> RunFolder:
    home = folder / "home"
    run = create_run(home, "table")
    for tool, arguments in (("profile_dataset", {"path": str(table), "target": "y"}), *STEPS):
        asked = json.dumps({**arguments, "time_budget_s": NEVER_CUT_S})
        while not ended(read_state(run), tool):
            with (folder / "server.log").open("ab") as log:
                command = [sys.executable, "-c", SERVER, str(home), str(run.path), tool, asked]
                server = subprocess.Popen(command, stderr=log)
            try:
                killer.disturb(server, run, tool)
            finally:
                server.kill()
                server.wait()
            state = read_state(run)
            assert state is None or state.status != "failed", state
    return run


def leaderboard(run: RunFolder) -> dict[tuple[str, str], list[float]]:
    """The scores of every solution on every plan of folds it was scored on."""
    entries = run.journal.read("evaluation")
    return {solution_of(entry.body): entry.body["scores"] for entry in entries if entry.body["failure"] is None}


def solution_of(body: dict[str, Any]) -> tuple[str, str]:
    return body["key"], json.dumps(body["plan"])


def summaries(run: RunFolder) -> list[str]:
    return [entry.body["report"]["summary"] for entry in run.journal.read("report")]


def linear_table(rows: int = 240) -> pd.DataFrame:
    """A target that is a linear function of two columns and a category, with gaps and some noise."""
    generator = np.random.default_rng(3)
    x1, x2 = generator.normal(size=(2, rows))
    colour = generator.choice(["red", "green", "blue"], rows)
    signal = 2 * x1 - 1.5 * x2 + (colour == "red") + 0.4 * generator.normal(size=rows)
    x2[generator.random(rows) < 0.05] = np.nan
    return pd.DataFrame({"x1": x1, "x2": x2, "colour": colour, "y": np.where(signal > 0, "yes", "no")})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_that_is_killed_a_hundred_times_ends_like_one_that_is_not(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    linear_table().to_csv(table, index=False)
    (tmp_path / "disturbed").mkdir()
    (tmp_path / "calm").mkdir()
    calm = whole_run(tmp_path / "calm", table, Killer(0, 0))
    killer = Killer(KILLS, computed(calm))
    disturbed = whole_run(tmp_path / "disturbed", table, killer)
    assert killer.left == 0, "the run ended before it was killed often enough"
    assert leaderboard(disturbed) == leaderboard(calm)
    entries = disturbed.journal.read("evaluation")
    times = Counter(solution_of(entry.body) for entry in entries if not entry.body["cached"])
    assert set(times.values()) == {1}, "what was finished is never computed twice"
    assert summaries(disturbed) == summaries(calm)
    assert not [pid for pid in killer.workers if group_members(pid)], "a worker has outlived its server"
