"""Standings of several systems from a file of results: scores by table, mean ranks, pairwise win rates, wall time.

    python benchmarks/standings.py RESULTS.jsonl [MORE.jsonl …] [--budget 60] [--system mle_star]

Each line of a file is one fit of one system on one table: `dataset`, `system`, `budget` (seconds asked for), `seed`, `metric`,
`score` on rows no system saw (null: it failed), `wall_s`. Scores of several seeds are averaged. Of lines for the same fit the last
one counts. Ranks are shared where scores are equal; a failure ranks last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

HIGHER_IS_BETTER = {"roc_auc", "accuracy", "r2", "f1"}
Results = dict[tuple[str, str], dict[int, tuple[float | None, float]]]


def read(paths: Iterable[Path], budget_s: float) -> tuple[Results, dict[str, str]]:
    """Return (score, wall seconds) by table, system and seed, and each table's metric."""
    found: Results = {}
    metrics: dict[str, str] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["budget"] != budget_s:
                continue
            metrics[row["dataset"]] = row["metric"]
            found.setdefault((row["dataset"], row["system"]), {})[row["seed"]] = (row["score"], row["wall_s"])
    return found, metrics


def mean_score(fits: dict[int, tuple[float | None, float]] | None) -> float | None:
    """Mean over seeds; None where the system did not run or failed."""
    scores = [score for score, _ in (fits or {}).values()]
    known = [score for score in scores if score is not None]
    return fmean(known) if known and len(known) == len(scores) else None


def loss(score: float | None, metric: str) -> float:
    """Smaller is better; a failure is infinite."""
    if score is None:
        return float("inf")
    return -score if metric in HIGHER_IS_BETTER else score


def ranks(losses: dict[str, float]) -> dict[str, float]:
    """Rank of each system on one table, 1 the best; equal losses share the mean of their ranks."""
    return {
        name: 1
        + sum(other < own for other in losses.values())
        + (sum(other == own for other in losses.values()) - 1) / 2
        for name, own in losses.items()
    }


def main() -> None:
    """Print the standings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--system", default="mle_star", help="whose win rates to print")
    options = parser.parse_args()
    found, metrics = read(options.results, options.budget)
    systems = sorted({system for _, system in found})
    print(f"| table | metric | {' | '.join(systems)} |")
    print(f"|---|---|{'---|' * len(systems)}")
    ranked: dict[str, list[float]] = {system: [] for system in systems}
    wins: dict[str, list[float]] = {system: [] for system in systems if system != options.system}
    for table, metric in sorted(metrics.items()):
        present = {
            system: loss(mean_score(found[table, system]), metric) for system in systems if (table, system) in found
        }
        places = ranks(present)
        cells = []
        for system in systems:
            score = mean_score(found.get((table, system)))
            best = system in places and places[system] == min(places.values())
            text = "failed" if score is None and system in present else "–" if score is None else f"{score:.5g}"
            cells.append(f"**{text}**" if best else text)
        print(f"| {table} | {metric} | {' | '.join(cells)} |")
        # Only tables that every system has tried make mean ranks comparable.
        if len(present) == len(systems):
            for system, place in places.items():
                ranked[system].append(place)
        if options.system in present:
            for system, theirs in present.items():
                if system != options.system:
                    ours = present[options.system]
                    wins[system].append(1.0 if ours < theirs else 0.5 if ours == theirs else 0.0)
    print("\n| system | mean rank | tables ranked | wall s, mean | wall s, most |", end="")
    print(f" {options.system} at least as good |\n|---|---|---|---|---|---|")
    for system in sorted(systems, key=lambda name: fmean(ranked[name]) if ranked[name] else float("inf")):
        walls = [wall for (_, name), fits in found.items() if name == system for _, wall in fits.values()]
        place = f"{fmean(ranked[system]):.2f}" if ranked[system] else "–"
        own = wins.get(system)
        won = "" if own is None else f"{sum(value >= 0.5 for value in own)} of {len(own)}"
        print(f"| {system} | {place} | {len(ranked[system])} | {fmean(walls):.1f} | {max(walls):.1f} | {won} |")


if __name__ == "__main__":
    main()
