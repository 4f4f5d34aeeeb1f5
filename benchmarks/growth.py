"""How seconds and memory grow with the table: generated tables of 1,000 to 1,000,000 rows × 30 columns, one budget for all.

    python benchmarks/growth.py [--time-budget 120] [--rows 1000,10000,100000,1000000] [--output growth]

Writes OUTPUT.csv and OUTPUT.png. Memory is the largest resident set of the worker; the line drawn beside it is six times the
table's size in memory plus 500 MB.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = 30
ALLOWED_TIMES = 6.0
ALLOWED_MORE_MB = 500.0


@dataclass(frozen=True)
class Point:
    """One run. `table_mb` is the table in memory as pandas reads it, `score` the ROC AUC on the sealed rows."""

    rows: int
    seconds: float
    peak_mb: float
    table_mb: float
    score: float
    verdict: str


def generate(n_rows: int, path: Path) -> float:
    """Write a table of numbers and categories with a noisy two-class target; returns its megabytes in memory."""
    rng = np.random.default_rng(n_rows)
    numbers = rng.normal(size=(n_rows, COLUMNS - 6)).astype(np.float32)
    codes = rng.integers(0, [3, 5, 10, 20, 50, 200], size=(n_rows, 6))
    signal = (
        numbers[:, 0] * numbers[:, 1]
        + np.sin(2 * numbers[:, 2])
        + 0.5 * numbers[:, 3]
        + 0.02 * codes[:, 4]
        - 0.4 * (codes[:, 0] == 1)
    )
    frame = pd.DataFrame(numbers, columns=[f"x{number}" for number in range(numbers.shape[1])])
    for number in range(codes.shape[1]):
        frame[f"c{number}"] = np.char.add("level", codes[:, number].astype(str))
    frame["y"] = np.where(signal + rng.normal(size=n_rows) > 0.5, "yes", "no")
    frame.to_csv(path, index=False)
    read = pd.read_csv(path)
    return float(read.memory_usage(deep=True).sum() / 1e6)


def measure(n_rows: int, budget_s: float, folder: Path) -> Point:
    """Run the command on one table and watch its processes."""
    path = folder / f"rows_{n_rows}.csv"
    table_mb = generate(n_rows, path)
    command = [
        str(Path(sys.executable).with_name("mle-star")), "run", "--dataset", str(path), "--target", "y",
        "--time-budget", str(budget_s), "--output", str(folder / "out"), "--output-format", "json",
    ]  # fmt: skip
    begin = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "MLE_STAR_HOME": str(folder / "home")}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    path.unlink()
    if done.returncode:
        raise SystemExit(f"{n_rows} rows: exit code {done.returncode}: {done.stderr.strip()}")
    report = json.loads((folder / "out" / "report.json").read_text())["validation"]
    score = report["holdout"]["score"] if report["holdout"] else report["cv_score"]
    phases = json.loads(done.stdout)["phases"]
    return Point(n_rows, seconds, report["peak_memory_mb"], table_mb, score, phases["validate"]["verdict"])


def draw(points: list[Point], budget_s: float, path: Path) -> None:
    """Two panels over rows: seconds with the budget, memory with what is allowed."""
    import matplotlib.pyplot as plt

    rows = [point.rows for point in points]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.semilogx(rows, [point.seconds for point in points], "o-", color="#1f6f8b")
    left.axhline(budget_s, color="#999999", linestyle="--", linewidth=1)
    left.set(title="wall seconds (dashed: the budget)", xlabel="rows", ylim=(0, 1.15 * budget_s))
    right.loglog(rows, [point.peak_mb for point in points], "o-", color="#1f6f8b")
    allowed = [ALLOWED_TIMES * point.table_mb + ALLOWED_MORE_MB for point in points]
    right.loglog(rows, allowed, "--", color="#999999", linewidth=1)
    right.set(title="peak memory in MB (dashed: 6 × table + 500)", xlabel="rows")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-budget", type=float, default=120.0)
    parser.add_argument("--rows", default="1000,10000,100000,1000000")
    parser.add_argument("--output", type=Path, default=Path("growth"))
    options = parser.parse_args()
    print("| rows | wall s | peak MB | table MB | allowed MB | ROC AUC | verdict |\n|---|---|---|---|---|---|---|")
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for text in options.rows.split(","):
            point = measure(int(text), options.time_budget, Path(folder))
            points.append(point)
            allowed = ALLOWED_TIMES * point.table_mb + ALLOWED_MORE_MB
            print(
                f"| {point.rows:,} | {point.seconds:.1f} | {point.peak_mb:.0f} | {point.table_mb:.0f} | {allowed:.0f} | "
                f"{point.score:.4f} | {point.verdict} |",
                flush=True,
            )
    with options.output.with_suffix(".csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(asdict(points[0])))
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)
    draw(points, options.time_budget, options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
