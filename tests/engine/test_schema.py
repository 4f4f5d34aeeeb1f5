"""Rows to predict are read as the training rows were, whoever brings them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.dataset import Dataset, open_dataset
from mle_star.engine.errors import InvalidInput
from mle_star.engine.reading import read_table
from mle_star.engine.roles import Role
from mle_star.engine.schema import Schema

TELCO = Path(__file__).parents[2] / "examples" / "telco_churn.csv"


@pytest.fixture(scope="module")
def telco() -> Dataset:
    return open_dataset(TELCO, "Churn")[0]


def test_the_training_file_is_typed_as_in_training(telco: Dataset) -> None:
    frame, warnings = Schema.of(telco).apply(read_table(TELCO).frame)
    pd.testing.assert_frame_equal(frame, telco.frame)
    assert warnings == []


def test_a_schema_survives_json(telco: Dataset) -> None:
    schema = Schema.of(telco)
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    assert schema.roles == telco.feature_roles


def test_order_and_extra_columns_do_not_matter_and_rows_stay_in_place(telco: Dataset) -> None:
    rows = read_table(TELCO).frame.iloc[[5, 3, 9]]
    turned = rows[rows.columns[::-1]].assign(extra=1)
    frame, _ = Schema.of(telco).apply(turned)
    assert frame["tenure"].tolist() == telco.frame["tenure"].iloc[[5, 3, 9]].tolist()
    assert list(frame.columns) == list(telco.frame.columns)
    assert frame.index.tolist() == [0, 1, 2]


def test_a_typed_frame_reads_as_the_file_does(telco: Dataset) -> None:
    typed = pd.read_csv(TELCO).head(50)
    frame, _ = Schema.of(telco).apply(typed)
    assert frame["SeniorCitizen"].tolist() == telco.frame["SeniorCitizen"].head(50).tolist()
    assert frame["Contract"].astype(str).tolist() == telco.frame["Contract"].head(50).astype(str).tolist()
    assert frame["TotalCharges"].tolist() == telco.frame["TotalCharges"].head(50).tolist()


def test_dirty_cells_become_missing_with_a_warning_and_new_levels_are_kept(telco: Dataset) -> None:
    rows = (
        read_table(TELCO).frame.head(4).assign(tenure=["a7", "2", "", "1,000"], Contract="Ten years", Partner="perhaps")
    )
    table_frame, warnings = Schema.of(telco).apply(rows)
    assert table_frame["tenure"].tolist()[1::2] == [2.0, 1000.0]
    assert table_frame["tenure"].isna().tolist() == [True, False, True, False]
    assert table_frame["Contract"].tolist() == ["Ten years"] * 4
    assert table_frame["Partner"].isna().all()
    assert sorted(warning.split(" of ")[1].split(" ")[0] for warning in warnings) == ["Partner", "tenure"]


def test_one_row_with_missing_cells_is_enough(telco: Dataset) -> None:
    row = pd.DataFrame([dict.fromkeys(telco.frame.columns, None)])
    table = Schema.of(telco).table(row)
    assert table.frame.shape == (1, 20)
    assert table.frame.isna().all(axis=None)
    assert table.roles["tenure"] == Role.NUMERIC


def test_missing_and_doubled_columns_are_named(telco: Dataset) -> None:
    rows = read_table(TELCO).frame.head(3)
    with pytest.raises(
        InvalidInput, match=r"missing: 'tenure'; is 'tenur' called|missing: 'tenure'; is 'tenure' called 'Tenure'"
    ):
        Schema.of(telco).apply(rows.rename(columns={"tenure": "Tenure"}))
    with pytest.raises(InvalidInput, match="'tenure' more than once"):
        Schema.of(telco).apply(pd.concat([rows, rows[["tenure"]]], axis=1))


def test_dates_are_read_in_the_format_of_training(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"day": [f"{i % 28 + 1:02d}/02/2024" for i in range(60)], "x": np.arange(60) / 7, "y": np.arange(60) / 3}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    schema = Schema.of(open_dataset(tmp_path / "a.csv", "y")[0])
    read, _ = schema.apply(pd.DataFrame({"day": ["03/04/2024", "oops"], "x": [1, 2]}))
    assert read["day"].iloc[0] == pd.Timestamp("2024-04-03")
    assert pd.isna(read["day"].iloc[1])
