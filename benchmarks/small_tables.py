"""Small tables for the accuracy harness: splits with a few hundred rows for fitting, and up to 10,000 others to score.

    python benchmarks/small_tables.py DATA_FOLDER OUTPUT_FOLDER [--seeds 0,1,2,3,4]

OUTPUT_FOLDER gets `data/manifest.json` and `splits/NAME_sSEED/`: run the harness with BENCH_DATA=OUTPUT_FOLDER/data and
BENCH_HOME=OUTPUT_FOLDER on any of its systems.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

ROWS = {"titanic": 668, "iris": 112, "adult": 800, "california": 800}
MOST_TO_SCORE = 10_000


def write(entry: dict[str, str], data: Path, folder: Path, seed: int) -> dict[str, str]:
    """Write one split, stratified by class; returns its entry for the manifest."""
    frame, target = pd.read_csv(data / entry["file"]), entry["target"]
    frame = frame[frame[target].notna()]
    classes = None if entry["task"] == "regression" else frame[target]
    train, test = train_test_split(frame, train_size=ROWS[entry["name"]], random_state=seed, stratify=classes)
    name = f"{entry['name']}_s{seed}"
    split = folder / "splits" / name
    split.mkdir(parents=True, exist_ok=True)
    test = test.iloc[:MOST_TO_SCORE]
    train.to_csv(split / "train.csv", index=False)
    test.drop(columns=[target]).to_csv(split / "test.csv", index=False)
    test[[target]].to_csv(split / "test_y.csv", index=False)
    return {**entry, "name": name, "split": "stratified"}


def main() -> None:
    """Write all splits and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    tables = [entry for entry in json.loads((options.data / "manifest.json").read_text()) if entry["name"] in ROWS]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    entries = [write(entry, options.data, options.output, seed) for entry in tables for seed in seeds]
    (options.output / "data").mkdir(parents=True, exist_ok=True)
    (options.output / "data" / "manifest.json").write_text(json.dumps(entries, indent=1))


if __name__ == "__main__":
    main()
