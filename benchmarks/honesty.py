"""Do reported intervals hold? The score on rows no run has seen, against the intervals that the run's report gave before.

    python benchmarks/honesty.py RESULTS.jsonl 'JOBS/{dataset}__{system}__{budget}__{seed}/out/report.json' [--system mle_star]

RESULTS.jsonl as for `standings.py`; the template says where the report of each of its fits lies. Fits without a report are left
out. The holdout's interval is of the sealed rows; the cross-validated one is of the folds, with a better end that is not short of
the holdout's. Either should hold in nine of ten fits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def inside(score: float, interval: list[float] | None) -> bool | None:
    """Whether a score lies in an interval; None where there is none."""
    return None if interval is None else interval[0] <= score <= interval[1]


def shown(interval: list[float] | None, held: bool | None) -> str:
    """An interval with its outcome."""
    return "–" if interval is None else f"{interval[0]:.5g} … {interval[1]:.5g} {'holds' if held else 'MISSES'}"


def main() -> None:
    """Print one line a fit, then how often each interval held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("reports", help="path of a fit's report, with {dataset}, {system}, {budget} and {seed}")
    parser.add_argument("--system", default="mle_star")
    options = parser.parse_args()
    print("| table | seconds | seed | fresh score | cross-validated | cross-validation interval | holdout interval |")
    print("|---|---|---|---|---|---|---|")
    outcomes: dict[str, list[bool]] = {"cross-validation": [], "holdout": []}
    newest = {}
    for line in options.results.read_text().splitlines():
        row = json.loads(line)
        if row["system"] == options.system and row["score"] is not None:
            newest[row["dataset"], row["budget"], row["seed"]] = row
    for row in newest.values():
        path = Path(options.reports.format(**row))
        if not path.is_file():
            continue
        validation = json.loads(path.read_text())["validation"]
        holdout = validation["holdout"]["interval"] if validation["holdout"] else None
        intervals = {"cross-validation": validation["cv_interval"], "holdout": holdout}
        held = {name: inside(row["score"], interval) for name, interval in intervals.items()}
        for name, outcome in held.items():
            if outcome is not None:
                outcomes[name].append(outcome)
        cells = [shown(intervals[name], held[name]) for name in intervals]
        print(
            f"| {row['dataset']} | {row['budget']} | {row['seed']} | {row['score']:.5g} | {validation['cv_score']:.5g} | "
            f"{' | '.join(cells)} |"
        )
    for name, held_list in outcomes.items():
        print(f"\n{name}: {sum(held_list)} of {len(held_list)} intervals hold")


if __name__ == "__main__":
    main()
