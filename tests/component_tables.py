"""All registered block components, and the tables and contexts their tests work on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.plugins import FitContext, Positions
from mle_star.engine.roles import Role
from mle_star.engine.shape import DataShape
from mle_star.engine.solution import TABLE_SLOTS, Slot
from mle_star.engine.table import Table
from mle_star.engine.task import Task, TaskKind, resolve_metric

SLOTS: tuple[Slot, ...] = (*TABLE_SLOTS, "target", "post")
EVERY = [component for slot in SLOTS for component in registry.components(slot).values()]
WORDS = ("red", "green", "blue", "fast", "slow", "engine", "broken", "new", "old", "cheap", "rare", "house")


@cache
def make_table(n_rows: int, seed: int = 0) -> Table:
    """A table with every role, missing values, an all-missing column, a constant, a duplicate and many levels.

    Made once and shared: no component may change it.
    """
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 3))
    numbers[rng.random((n_rows, 3)) < 0.1] = np.nan
    levels = [f"level{number:03d}" for number in range(60)]
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900 * 24, n_rows), unit="h")
    texts = pd.Series([" ".join(rng.choice(WORDS, 5)) for _ in range(n_rows)], dtype="str")
    frame = pd.DataFrame(
        {
            "a": numbers[:, 0],
            "b": np.exp(3 * numbers[:, 1]),
            "c": numbers[:, 2] + np.nan_to_num(numbers[:, 0]),
            "copy of a": numbers[:, 0],
            "same": np.full(n_rows, 7.0),
            "nothing": np.full(n_rows, np.nan),
            "flag": rng.integers(0, 2, n_rows).astype(float),
            "city": pd.Categorical.from_codes(np.minimum(rng.geometric(0.08, n_rows), 60) - 1, categories=levels),
            "size": pd.Categorical.from_codes(rng.integers(-1, 3, n_rows), categories=["10", "9", "100"]),
            "side": pd.Categorical.from_codes(rng.integers(0, 2, n_rows), categories=["left", "right"]),
            "when": dates.to_series(index=range(n_rows)).astype("datetime64[us]"),
            "note": texts,
            "key": pd.Categorical([f"K{number:06d}" for number in range(n_rows)]),
            "fixed": pd.Categorical(["x"] * n_rows),
        }
    )
    frame.loc[frame.index % 11 == 3, "when"] = pd.NaT
    frame.loc[frame.index % 13 == 5, "note"] = np.nan
    # Not 0…n−1: a component must keep the index it is given.
    frame.index = pd.Index(np.arange(n_rows) * 2 + 5)
    roles = {
        **dict.fromkeys(("a", "b", "c", "copy of a", "same", "nothing"), Role.NUMERIC),
        "flag": Role.BOOLEAN,
        **dict.fromkeys(("city", "size", "side"), Role.CATEGORICAL),
        "when": Role.DATETIME,
        "note": Role.TEXT,
        "key": Role.ID,
        "fixed": Role.CONSTANT,
    }
    return Table(frame, roles)


def make_target(table: Table, kind: TaskKind, seed: int = 0) -> np.ndarray:
    """A target that depends on `a` and `city`."""
    rng = np.random.default_rng(seed + 1)
    n_rows = len(table.frame)
    signal = np.nan_to_num(table.frame["a"].to_numpy()) + 0.05 * table.frame["city"].cat.codes.to_numpy()
    signal = signal + 0.3 * rng.normal(size=n_rows)
    if kind == "regression":
        return np.exp(signal)
    cuts = [0.5] if kind == "binary" else [0.0, 1.0]
    y = np.digitize(signal, cuts).astype(np.int64)
    y[: min(3, n_rows)] = np.arange(min(3, n_rows)) % (len(cuts) + 1)
    return y


def make_context(kind: TaskKind, n_rows: int, seed: int = 0, shape: DataShape | None = None) -> FitContext:
    """A context with plain shuffled inner folds."""
    classes = {"regression": (), "binary": ("no", "yes"), "multiclass": ("low", "middle", "high")}[kind]

    def inner_folds(n_folds: int) -> Sequence[Positions]:
        parts = np.array_split(np.random.default_rng(seed).permutation(n_rows), n_folds)
        return [(np.setdiff1d(np.arange(n_rows), part), np.sort(part)) for part in parts]

    return FitContext(
        Task(kind, resolve_metric("auto", kind), classes),
        shape or full_shape(kind),
        seed,
        1,
        Deadline(60.0),
        inner_folds,
    )


def full_shape(kind: TaskKind) -> DataShape:
    """A shape on which every component applies."""
    return DataShape(
        kind=kind,
        n_rows=6000,
        n_numeric=6,
        n_categorical=3,
        n_boolean=1,
        n_datetime=1,
        n_text=1,
        n_id=1,
        max_levels=60,
        missing_share=0.1,
        n_classes={"regression": 0, "binary": 2, "multiclass": 3}[kind],
        minority_share=1.0 if kind == "regression" else 0.1,
        target_skew=3.0 if kind == "regression" else 0.0,
        target_min=0.01 if kind == "regression" else 0.0,
    )


def cases(*slots: Slot, n_kinds: int = 3) -> list[Any]:
    """Component and task kind, for the components of these slots and the first of the kinds they are for."""
    return [
        pytest.param(component, kind, id=f"{component.slot}.{component.key}-{kind}")
        for component in EVERY
        if component.slot in slots
        for kind in sorted(component.tasks, reverse=True)[:n_kinds]
    ]
