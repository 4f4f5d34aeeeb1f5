"""The command line as a user starts it: a process of its own, with a home folder of its own."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = [sys.executable, "-m", "mle_star.server.cli"]


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The test's environment with this home folder and no other setting of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLE_STAR_")}
    return {**clean, "MLE_STAR_HOME": str(home), **(extra or {})}


def mle_star(
    home: Path, *arguments: object, answers: str = "", extra: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=answers,
        env=environment(home, extra),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or home.parent,
        timeout=110,
    )


def write_table(path: Path, rows: int = 300, *, seed: int = 0) -> Path:
    """A small table with numbers, a category, a few holes and a target that depends on them."""
    generator = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["size", "age", "colour", "bought"])
        for _ in range(rows):
            size, age, colour = generator.random(), generator.gauss(40, 10), generator.choice(["red", "green", "blue"])
            likely = size + 0.02 * (age - 40) + 0.5 * (colour == "red") + 0.4 * generator.random() > 0.9
            shown = "" if generator.random() < 0.05 else f"{age:.1f}"
            writer.writerow([f"{size:.3f}", shown, colour, "yes" if likely else "no"])
    return path


def one_line(text: str) -> bool:
    """Whether this is exactly one line."""
    return text.endswith("\n") and text.count("\n") == 1
