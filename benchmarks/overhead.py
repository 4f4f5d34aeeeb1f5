"""How much of a run's machine time is spent inside learners: seconds of `fit` and `predict` times the threads they were given, as a
share of wall seconds times cores.

    python benchmarks/overhead.py DATA_FOLDER [--only adult,california] [--time-budget 60] [--seed 0]

The whole workflow runs in this process, with every learner's `fit` and every fitted solution's prediction timed. `cpu` is the
processor time of the process over the same wall seconds times cores: what is missing there is waiting.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from main_job import JOBS, Job
from mle_star.engine import registry
from mle_star.engine.pipeline import FittedSolution
from mle_star.engine.plugins import FittedModel, Model, TrainingData
from mle_star.engine.run import create_run
from mle_star.tools.workflow import WORKFLOW, perform


class Meter:
    """Adds up thread seconds from all threads."""

    def __init__(self) -> None:
        self.fit_s = 0.0
        self.predict_s = 0.0
        self._lock = threading.Lock()

    def timed(self, model: Model) -> Model:
        """The learner with its fits on this meter."""

        def fit(data: TrainingData) -> FittedModel:
            start = time.perf_counter()
            try:
                return model.fit(data)
            finally:
                with self._lock:
                    self.fit_s += (time.perf_counter() - start) * data.threads

        return replace(model, fit=fit)

    def predicting(self, original: Any) -> Any:
        """The prediction of a fitted solution's learner and its correction on this meter."""

        def predict(solution: FittedSolution, rows: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(solution, rows)
            finally:
                with self._lock:
                    self.predict_s += time.perf_counter() - start

        return predict


def measure(job: Job, data: Path, budget_s: float, seed: int) -> str:
    """One run; returns its line."""
    home = Path(tempfile.mkdtemp(prefix="overhead-"))
    arguments = {
        "path": str(data / job.file),
        "target": job.target,
        "time_budget_s": budget_s,
        "seed": seed,
        "holdout": job.options[1] if job.options else "auto",
    }
    cores = os.cpu_count() or 1
    meter = Meter()
    timed = {key: meter.timed(model) for key, model in registry.models().items()}
    begin, cpu = time.perf_counter(), time.process_time()
    with (
        patch.dict(registry.models(), timed),
        patch.object(FittedSolution, "predict_adapted", meter.predicting(FittedSolution.predict_adapted)),
    ):
        perform(WORKFLOW, arguments, create_run(home, job.name), home, cores, lambda _: None)
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    whole = wall_s * cores
    shares = (meter.fit_s / whole, meter.predict_s / whole, (meter.fit_s + meter.predict_s) / whole, cpu_s / whole)
    return f"| {job.name} | {wall_s:.1f} | {' | '.join(f'{share:.0%}' for share in shares)} |"


def main() -> None:
    """Measure and print one line a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="names of tables, separated by commas")
    parser.add_argument("--time-budget", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = set(options.only.split(",")) if options.only else {job.name for job in JOBS}
    print("| table | wall s | in fit | in predict | in learners | cpu |\n|---|---|---|---|---|---|", flush=True)
    for job in JOBS:
        if job.name in names and (options.data / job.file).is_file():
            print(measure(job, options.data, options.time_budget, options.seed), flush=True)


if __name__ == "__main__":
    main()
