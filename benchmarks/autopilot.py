"""What each part of the autopilot is worth: the same minute with one part left out, on several tables.

    python benchmarks/autopilot.py DATA_FOLDER [--only telco_churn,california] [--time-budget 60] [--seed 0]

Scores are those of the rows that each run seals. `without ensemble` uses the full run's best single solution. A difference is the
full run's advantage as a share of what it gains over the dummy; one minute on one split is noisy, so look at means.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import fmean
from unittest.mock import patch

from main_job import JOBS, Job, holdout_score, run_here, single
from mle_star.engine import baselines, defaults, refinement
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import chosen
from mle_star.engine.leaderboard import best_single, leaderboard
from mle_star.engine.solution import Solution, Suggestion


@contextmanager
def without_portfolio() -> Iterator[None]:
    """Every learner with its first setting only."""
    whole = baselines._portfolio

    def first_settings(experiment: Experiment, order: Sequence[str], research: Sequence[Suggestion]) -> list[Solution]:
        first: dict[str, Solution] = {}
        for solution in whole(experiment, order, research):
            first.setdefault(solution.model.component, solution)
        return list(first.values())

    with patch.object(baselines, "_portfolio", first_settings):
        yield


@contextmanager
def without_questions() -> Iterator[None]:
    """No structural questions to the first booster: ids, another target scale, encodings, features of groups."""
    with patch.object(baselines, "settle", lambda *_: []):
        yield


@contextmanager
def without_bins() -> Iterator[None]:
    """Linear models and networks get numbers standardised only."""
    with patch.object(baselines, "in_bins", lambda *_: None), patch.object(defaults, "_ROWS_FOR_BINS", math.inf):
        yield


@contextmanager
def without_calibration() -> Iterator[None]:
    """Refinement corrects no predictions."""
    others = tuple(slot for slot in refinement._GROWING if slot != "post")
    with patch.object(refinement, "_GROWING", others):
        yield


PARTS: dict[str, tuple[Callable[[], AbstractContextManager[None]] | None, dict[str, int]]] = {
    "full": (None, {}),
    "portfolio": (without_portfolio, {}),
    "questions": (without_questions, {}),
    "bins": (without_bins, {}),
    "research": (None, {"search_iterations": 0}),
    "refinement": (None, {"refinement_iterations": 0}),
    "calibration": (without_calibration, {}),
}
COLUMNS = [*PARTS, "ensemble"]


def run(job: Job, data: Path, part: str, budget_s: float, seed: int) -> Experiment:
    """Do the whole workflow with one part left out."""
    leave_out, options = PARTS[part]
    arguments = {
        "path": str(data / job.file),
        "target": job.target,
        "time_budget_s": budget_s,
        "seed": seed,
        "holdout": job.options[1] if job.options else "auto",
        **options,
    }
    with ExitStack() as stack:
        if leave_out is not None:
            stack.enter_context(leave_out())
        return run_here(job.name, arguments)


def main() -> None:
    """Run and print one row a table, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="names of tables, separated by commas")
    parser.add_argument("--time-budget", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = set(options.only.split(",")) if options.only else {job.name for job in JOBS}
    print(f"| table | metric | {' | '.join(f'without {part}' if part != 'full' else part for part in COLUMNS)} |")
    print(f"|---|---|{'---|' * len(COLUMNS)}", flush=True)
    worth: dict[str, list[float]] = {part: [] for part in COLUMNS[1:]}
    for job in JOBS:
        if job.name not in names or not (options.data / job.file).is_file():
            continue
        scores: dict[str, float] = {}
        for part in PARTS:
            experiment = run(job, options.data, part, options.time_budget, options.seed)
            scores[part] = holdout_score(experiment, chosen(experiment))
            if part == "full":
                scores["ensemble"] = holdout_score(experiment, single(best_single(experiment)))
                dummy = next(ranked for ranked in leaderboard(experiment) if ranked.family == "dummy")
                floor = holdout_score(experiment, single(dummy))
        metric = experiment.task.metric
        for part, shares in worth.items():
            shares.append(metric.gain(scores["full"], scores[part]) / abs(metric.gain(scores["full"], floor)))
        cells = [f"{scores[part]:.5g}" for part in COLUMNS]
        print(f"| {job.name} | {metric.key} | {' | '.join(cells)} |", flush=True)
    means = ["", *(f"{100 * fmean(shares):+.2f} %" for shares in worth.values() if shares)]
    print(f"| worth, mean | | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
