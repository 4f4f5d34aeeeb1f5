"""The plan of folds follows the size of the data and the time: more folds where they are cheap, fewer rows where nothing helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.experiment import choose_plan
from mle_star.engine.shape import DataShape
from opened import open_experiment


def shape_of(n_rows: int, n_columns: int, n_classes: int = 2) -> DataShape:
    kind = "binary" if n_classes == 2 else "multiclass"
    return DataShape(
        kind=kind, n_rows=n_rows, n_numeric=n_columns, n_categorical=0, n_boolean=0, n_datetime=0, n_text=0, n_id=0, max_levels=0,
        missing_share=0.0, n_classes=n_classes, minority_share=0.3, target_skew=0.0, target_min=0.0,
    )  # fmt: skip


def test_a_small_table_gets_five_folds_of_all_rows() -> None:
    plan = choose_plan(shape_of(900, 12), 900, "stratified", 60.0, 2)
    assert (plan.n_folds, plan.max_rows) == (5, None)


def test_a_wide_table_of_several_classes_gets_fewer_folds_and_rows() -> None:
    plan = choose_plan(shape_of(76_000, 50, n_classes=3), 68_000, "group", 60.0, 2)
    assert plan.n_folds == 3
    assert plan.max_rows is not None
    assert plan.max_rows < 68_000


def test_more_time_buys_all_rows() -> None:
    assert choose_plan(shape_of(76_000, 50, n_classes=3), 68_000, "group", 600.0, 2).max_rows is None


def test_time_order_keeps_its_four_blocks() -> None:
    assert choose_plan(shape_of(300_000, 40), 270_000, "time", 20.0, 2).n_folds == 4


@given(
    rows=st.integers(50, 2_000_000), columns=st.integers(1, 5_000), budget=st.floats(5, 3_600), threads=st.integers(1, 32),
    kind=st.sampled_from(["plain", "stratified", "group", "time"]), classes=st.integers(2, 20),
)  # fmt: skip
def test_every_plan_can_be_made(rows: int, columns: int, budget: float, threads: int, kind: str, classes: int) -> None:
    plan = choose_plan(shape_of(rows, columns, classes), rows, kind, budget, threads)
    assert 3 <= plan.n_folds <= 5
    assert plan.repeats == 1
    assert plan.max_rows is None or min(rows, 20_000) <= plan.max_rows < rows


def test_a_metric_of_one_task_alone_says_which_task_it_is(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(2.0, 300)
    frame = pd.DataFrame({"x": np.arange(300.0), "y": counts})
    assert open_experiment(tmp_path, frame).task.kind == "multiclass"
    assert open_experiment(tmp_path, frame, metric="rmse").task.kind == "regression"
    assert open_experiment(tmp_path, frame, metric="accuracy").task.kind == "multiclass"
