"""Which ensemble strategy is best on rows that nobody has seen: every member of a run's pool is fitted once, every strategy is
fitted on the same out-of-fold predictions, and all are scored on rows that were left out from the start.

    python benchmarks/strategies.py DATA_FOLDER [--only adult,california] [--rows 600,3000] [--time-budget 25] [--seeds 0,1]

Each run gets a random sample of so many rows (three quarters of the table at most); up to 10,000 others are the fresh ones. Cells
are the gain over the best single solution in percent of its loss (of 1 − score where greater is better). `kept` is what the run
itself chose.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from main_job import JOBS, REFIT_S, Job, run_here, single
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.ensembling import members_for
from mle_star.engine.evaluation import stack_of
from mle_star.engine.experiment import Experiment
from mle_star.engine.final import Chosen, chosen, fit_final
from mle_star.engine.leaderboard import best_single
from mle_star.engine.pool import member_pool

MOST_FRESH = 10_000


def run(job: Job, data: Path, n_rows: int, budget_s: float, seed: int) -> tuple[Experiment, pd.DataFrame]:
    """Do the whole workflow on a sample of the table; returns it with the fresh rows."""
    folder = Path(tempfile.mkdtemp(prefix="strategies-"))
    frame = (
        pd.read_csv(data / job.file, low_memory=False).dropna(subset=[job.target]).sample(frac=1.0, random_state=seed)
    )
    n_rows = min(n_rows, int(0.75 * len(frame)))
    frame.iloc[:n_rows].to_csv(folder / "sample.csv", index=False)
    frame.iloc[n_rows : n_rows + MOST_FRESH].to_csv(folder / "fresh.csv", index=False)
    arguments = {
        "path": str(folder / "sample.csv"),
        "target": job.target,
        "time_budget_s": budget_s,
        "holdout": "none",
        "time_column": "none",
        "group_column": "none",
    }
    return run_here(job.name, arguments), pd.read_csv(folder / "fresh.csv", low_memory=False)


def gains(experiment: Experiment, fresh: pd.DataFrame) -> dict[str, float]:
    """Gain of each strategy, and of the run's own choice, over the best single solution."""
    dataset, task, rows = experiment.dataset, experiment.task, experiment.evaluator.covered
    target = fresh[dataset.target]
    if task.is_classification:
        target = target.astype(str).map({label: code for code, label in enumerate(task.classes)})
        fresh, target = fresh[target.notna()], target[target.notna()]

    def predict(choice: Chosen) -> np.ndarray:
        model = fit_final(experiment, choice, np.arange(dataset.n_rows), Deadline(REFIT_S))
        return model.predict_table(model.schema.table(fresh))

    pool = member_pool(experiment)
    alone = {member.key: predict(Chosen.alone(member)) for member in pool}
    predictions = {"kept": predict(chosen(experiment)), "best": predict(single(best_single(experiment)))}
    for key, strategy in registry.ensembles().items():
        if task.kind in strategy.tasks:
            members = members_for(strategy, pool)
            fitted = strategy.fit(stack_of(members, rows), dataset.y[rows], task, experiment.seed)
            predictions[key] = fitted.combine(np.stack([alone[member.key] for member in members]))
    scores = {key: task.metric.score(target.to_numpy(), prediction) for key, prediction in predictions.items()}
    loss = 1.0 - scores["best"] if task.metric.greater_is_better else scores["best"]
    return {key: 100.0 * task.metric.gain(score, scores["best"]) / loss for key, score in scores.items()}


def main() -> None:
    """Run and print one row a table, then mean ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="names of tables, separated by commas")
    parser.add_argument("--rows", default="600,3000")
    parser.add_argument("--time-budget", type=float, default=25.0)
    parser.add_argument("--seeds", default="0,1")
    options = parser.parse_args()
    names = set(options.only.split(",")) if options.only else {job.name for job in JOBS}
    columns = [*registry.ensembles(), "kept"]
    print(f"| table | rows | seed | {' | '.join(columns)} |\n|---|---|---|{'---|' * len(columns)}", flush=True)
    ranks: list[np.ndarray] = []
    for job in JOBS:
        if job.name not in names or not (options.data / job.file).is_file():
            continue
        for n_rows in map(int, options.rows.split(",")):
            for seed in map(int, options.seeds.split(",")):
                found = gains(*run(job, options.data, n_rows, options.time_budget, seed))
                row = np.array([found.get(column, np.nan) for column in columns])
                ranks.append(pd.Series(-row).rank().to_numpy())
                cells = [f"{value:+.2f}" if np.isfinite(value) else "" for value in row]
                print(f"| {job.name} | {n_rows} | {seed} | {' | '.join(cells)} |", flush=True)
    print(f"| mean rank | | | {' | '.join(f'{rank:.2f}' for rank in np.nanmean(ranks, axis=0))} |")


if __name__ == "__main__":
    main()
