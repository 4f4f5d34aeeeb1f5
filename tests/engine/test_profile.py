"""The profile is compact, JSON-ready, and does not look at the sealed holdout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.dataset import Dataset, dataset_of, open_dataset
from mle_star.engine.profile import profile, shape_of
from mle_star.engine.reading import RawTable
from mle_star.engine.split import choose_split

TELCO = Path(__file__).parents[2] / "examples" / "telco_churn.csv"


@pytest.fixture(scope="module")
def telco() -> Dataset:
    return open_dataset(TELCO, "Churn")[0]


def test_a_profile_says_what_is_in_the_table(telco: Dataset) -> None:
    described = profile(telco, "binary", choose_split(telco, "binary"))
    assert described["columns"] == {"id": 1, "categorical": 11, "boolean": 5, "numeric": 3}
    assert described["target"]["class_shares"]["No"] == pytest.approx(0.7347, abs=1e-3)
    assert described["missing"]["most"] == {"TotalCharges": 0.001562}
    assert {"Contract", "tenure"} <= {item["column"] for item in described["associations"][:3]}
    assert described["split"]["holdout_rows"] == 1409
    assert len(json.dumps(described, allow_nan=False)) < 4_000


def test_the_holdout_does_not_change_what_is_said_about_the_target(telco: Dataset) -> None:
    split = choose_split(telco, "binary")
    y = telco.y.copy()
    y[split.holdout] = 1 - y[split.holdout]
    changed = replace(telco, y=y)
    assert profile(telco, "binary", split) == profile(changed, "binary", split)
    assert shape_of(telco, split, "binary") == shape_of(changed, split, "binary")


def test_the_shape_counts_development_rows_and_features(telco: Dataset) -> None:
    shape = shape_of(telco, choose_split(telco, "binary"), "binary")
    assert (shape.n_rows, shape.n_columns, shape.n_id, shape.max_levels, shape.n_classes) == (5634, 19, 1, 4, 2)
    assert shape.minority_share == pytest.approx(0.2654, abs=1e-3)


def test_a_wide_table_with_odd_columns_is_still_described_compactly() -> None:
    generator = np.random.default_rng(0)
    columns = {f"column number {i}": generator.normal(size=60) for i in range(2_000)}
    frame = pd.DataFrame(
        {**columns, "empty": None, "same": 1, "rare": [1.0] + [2.0] * 59, "y": generator.normal(size=60)}
    )
    frame = pd.concat([frame, frame.head(6)], ignore_index=True)
    dataset, kind, _ = dataset_of(RawTable(frame, ()), "y")
    described = profile(dataset, kind, choose_split(dataset, kind))
    assert kind == "regression"
    assert described["duplicate_rows_share"] == pytest.approx(6 / 66, abs=1e-3)
    assert described["columns"]["constant"] == 2
    assert described["target"]["min"] < described["target"]["median"] < described["target"]["max"]
    assert len(json.dumps(described, allow_nan=False)) < 4_000


def test_the_strongest_of_many_columns_are_found_and_the_limit_is_said() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(300, 1_000))
    values[::7, 3] = np.nan
    columns = {f"f{i}": column for i, column in enumerate(values.T)}
    frame = pd.DataFrame(
        {**columns, "huge": 1e200 * values[:, 8], "same": np.repeat([1.0, 2.0], [1, 299]), "y": values[:, 700]}
    )
    dataset, kind, _ = dataset_of(RawTable(frame, ()), "y")
    described = profile(dataset, kind, choose_split(dataset, kind))
    assert described["associations"][0]["column"] == "f700"
    assert described["associations_limit"].startswith("of 1002 numeric columns, the 300 most correlated")
    assert described["near_constant"] == ["same"]
    assert described["missing"]["most"] == {"f3": pytest.approx(43 / 300, abs=1e-4)}
    few, kind, _ = dataset_of(RawTable(frame[["f1", "f2", "y"]], ()), "y")
    assert "associations_limit" not in profile(few, kind, choose_split(few, kind))
