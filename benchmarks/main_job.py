"""One minute of `mle-star run` on each table: wall seconds, and holdout scores of the choice beside a dummy and a linear model.

    python benchmarks/main_job.py [DATA_FOLDER] [--only titanic,adult] [--time-budget 60] [--seed 0]

Without a folder the bundled example is used. Every holdout score is computed here, in the same way for all columns: fitted on
the development rows of the run's split, scored on the rows the run had sealed. Tables too small for a holdout of
their own accord get one of 20 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mle_star.engine.deadline import Deadline
from mle_star.engine.experiment import Experiment, Resources, reopen_experiment
from mle_star.engine.final import Chosen, chosen, fit_final
from mle_star.engine.leaderboard import Ranked, leaderboard
from mle_star.engine.run import create_run, open_run
from mle_star.server.processes import wait_actively
from mle_star.tools.workflow import WORKFLOW, perform

# As in a worker.
wait_actively(os.environ)
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
REFIT_S = 600.0


@dataclass(frozen=True)
class Job:
    """A table, its target, and options of the command line it needs."""

    name: str
    file: str
    target: str
    options: tuple[str, ...] = ()


JOBS = (
    Job("telco_churn", "telco_churn.csv", "Churn"),
    Job("titanic", "titanic.csv", "Survived", ("--holdout", "0.2")),
    Job("house_prices", "house_prices.csv", "SalePrice", ("--holdout", "0.2")),
    Job("bike_hourly", "bike_hourly.csv", "cnt"),
    Job("adult", "adult.csv", "income"),
    Job("california", "california.csv", "median_house_value"),
    Job("wine_quality", "wine_quality.csv", "quality", ()),
)


def run(job: Job, data: Path, home: Path, budget_s: float, seed: int) -> tuple[float, dict[str, object]]:
    """Run the command as a user would; return its wall seconds and its JSON result."""
    command = [
        str(Path(sys.executable).with_name("mle-star")), "run", "--dataset", str(data / job.file), "--target", job.target,
        "--time-budget", str(budget_s), "--seed", str(seed), "--output", str(home / job.name), "--output-format", "json",
        *job.options,
    ]  # fmt: skip
    begin = time.perf_counter()
    process = subprocess.run(
        command, env={**os.environ, "MLE_STAR_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{job.name}: exit code {process.returncode}: {process.stderr.strip()}")
    result: dict[str, object] = json.loads(process.stdout)
    return wall_s, result


def run_here(name: str, arguments: dict[str, object]) -> Experiment:
    """Do the whole workflow in this process, in a home folder of its own, and open the run again."""
    home, threads = Path(tempfile.mkdtemp(prefix="benchmark-")), os.cpu_count() or 1
    folder = create_run(home, name)
    perform(WORKFLOW, arguments, folder, home, threads, lambda _: None)
    return reopen_experiment(folder, Resources(threads, home / "cache"), Deadline(REFIT_S))


def holdout_score(experiment: Experiment, choice: Chosen) -> float:
    """Fit on the development rows, score on the sealed ones."""
    split, dataset = experiment.split, experiment.dataset
    model = fit_final(experiment, choice, split.development, Deadline(REFIT_S))
    prediction = model.predict_table(dataset.table.take(split.holdout))
    return experiment.task.metric.score(dataset.y[split.holdout], prediction)


def single(ranked: Ranked) -> Chosen:
    """A solution of the leaderboard as the choice."""
    return Chosen.alone(ranked.evaluation)


def row(job: Job, wall_s: float, result: dict[str, object], home: Path) -> str:
    """One line of the table."""
    resources = Resources(os.cpu_count() or 1, home / "cache")
    experiment = reopen_experiment(open_run(home, str(result["run_id"])), resources, Deadline(REFIT_S))
    board = leaderboard(experiment)
    dummy = next(ranked for ranked in board if ranked.family == "dummy")
    linear = next((ranked for ranked in board if ranked.family == "linear"), None)
    choice = chosen(experiment)
    scores = {
        "dummy": holdout_score(experiment, single(dummy)),
        "linear": holdout_score(experiment, single(linear)) if linear else float("nan"),
        "single": holdout_score(experiment, single(board[0])),
        "choice": holdout_score(experiment, choice),
    }
    metric = experiment.task.metric
    beats = all(metric.better(scores["choice"], scores[other]) for other in ("dummy", "linear"))
    phases = result["phases"]
    assert isinstance(phases, dict)
    verdict = phases["validate"]["verdict"]
    cells = [job.name, metric.key, f"{wall_s:.1f}", *(f"{score:.5g}" for score in scores.values()), choice.strategy]
    return f"| {' | '.join(cells)} | {'yes' if beats else 'no'} | {verdict} |"


def main() -> None:
    """Run the jobs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=EXAMPLES)
    parser.add_argument("--only", help="names of tables, separated by commas")
    parser.add_argument("--time-budget", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = set(options.only.split(",")) if options.only else {job.name for job in JOBS}
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.time_budget:.0f} s\n"
    )
    print("| table | metric | wall s | dummy | linear | best single | choice | strategy | beats both | verdict |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for job in JOBS:
            if job.name not in names or not (options.data / job.file).is_file():
                continue
            wall_s, result = run(job, options.data, Path(folder), options.time_budget, options.seed)
            print(row(job, wall_s, result, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
