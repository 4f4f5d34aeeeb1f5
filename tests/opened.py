"""Open a real experiment on a small generated table, for tests of the engine's stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from mle_star.engine.deadline import Deadline
from mle_star.engine.experiment import Experiment, Question, Resources, begin_experiment
from mle_star.engine.run import create_run


def generated_table(kind: str, n_rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """A table with numbers, gaps and categories whose target is learnable but noisy."""
    generator = np.random.default_rng(seed)
    x1, x2, x3 = generator.normal(size=(3, n_rows))
    colour = generator.choice(["red", "green", "blue", "grey"], n_rows)
    signal = 1.5 * x1 - x2 * (colour == "red") + 0.5 * (colour == "blue") + 0.3 * generator.normal(size=n_rows)
    frame = pd.DataFrame({"x1": x1, "x2": x2, "x3": x3, "colour": colour})
    frame.loc[generator.random(n_rows) < 0.1, "x2"] = np.nan
    if kind == "regression":
        frame["y"] = signal
    elif kind == "binary":
        frame["y"] = np.where(signal > 0, "yes", "no")
    else:
        frame["y"] = pd.cut(signal, [-np.inf, -0.8, 0.8, np.inf], labels=["low", "mid", "high"]).astype(str)
    return frame


def open_experiment(
    folder: Path,
    frame: pd.DataFrame,
    budget_s: float = 60.0,
    threads: int = 2,
    home: Path | None = None,
    **asked: object,
) -> Experiment:
    """Write the table and open a run on it, with its own home folder unless one is given."""
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    home = home or folder / "home"
    run = create_run(home, "table")
    question = Question(path, "y", **asked)  # type: ignore[arg-type]
    return begin_experiment(run, question, Resources(threads, home / "cache"), Deadline(budget_s), budget_s)
