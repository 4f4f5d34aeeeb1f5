"""The same command twice: how much evaluation time the second run spends, and whether its scores are the same.

python benchmarks/cache_reuse.py [--time-budget 60] [--dataset FILE --target COLUMN]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mle_star.engine.run import open_run

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "telco_churn.csv"


def evaluations(dataset: Path, target: str, budget_s: float, home: Path) -> tuple[float, int, dict[str, list[float]]]:
    """Run once; return seconds and number of evaluations computed now, and the fold scores that the clock did not cut."""
    command = [
        str(Path(sys.executable).with_name("mle-star")), "run", "--dataset", str(dataset), "--target", target,
        "--time-budget", str(budget_s), "--output-format", "json",
    ]  # fmt: skip
    environment = {**os.environ, "MLE_STAR_HOME": str(home)}
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    run = open_run(home, json.loads(output)["run_id"])
    seconds, computed, scores = 0.0, 0, {}
    for entry in run.journal.read("evaluation"):
        body = entry.body
        if not body["cached"]:
            seconds += body["seconds"]
            computed += 1
        if body["failure"] is None and not body["cut"]:
            scores[f"{body['key']} {json.dumps(body['plan'])}"] = body["scores"]
    return seconds, computed, scores


def main() -> None:
    """Run twice and print what the second run had to compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=EXAMPLE)
    parser.add_argument("--target", default="Churn")
    parser.add_argument("--time-budget", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        first_s, first_n, first = evaluations(options.dataset, options.target, options.time_budget, Path(home))
        second_s, second_n, second = evaluations(options.dataset, options.target, options.time_budget, Path(home))
    shared = first.keys() & second.keys()
    same = sum(first[key] == second[key] for key in shared)
    print(f"first run:  {first_s:.1f} s in {first_n} evaluations")
    print(
        f"second run: {second_s:.1f} s in {second_n} evaluations computed, {100 * second_s / first_s:.1f} % of the first"
    )
    print(f"identical fold scores: {same} of {len(shared)} solutions that both runs scored")


if __name__ == "__main__":
    main()
