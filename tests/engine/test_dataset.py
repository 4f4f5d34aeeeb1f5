"""A dataset is what its file says: the same content has the same fingerprint, and a snapshot gives it back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine.dataset import Dataset, dataset_of, load_snapshot, open_dataset, save_snapshot
from mle_star.engine.errors import InvalidInput
from mle_star.engine.reading import RawTable
from mle_star.engine.roles import Role

TELCO = Path(__file__).parents[2] / "examples" / "telco_churn.csv"


def opened(frame: pd.DataFrame, **options: Any) -> Dataset:
    return dataset_of(RawTable(frame, ()), "y", **options)[0]


def mixed(n_rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": [f"k{i:03d}z" for i in range(n_rows)],
            "colour": ["red", "blue", None, "10"] * (n_rows // 4),
            "size": [1.5, np.nan, 3.0, 4.0] * (n_rows // 4),
            "when": pd.date_range("2024-01-01", periods=n_rows).astype(str),
            "note": [f"a note with the number {i}" for i in range(n_rows)],
            "flag": ["yes", "no"] * (n_rows // 2),
            "same": "x",
            "y": ["a", "b", None, "b"] * (n_rows // 4),
        }
    )


def test_telco_churn_opens_with_its_roles() -> None:
    dataset, kind, reason = open_dataset(TELCO, "Churn")
    assert (kind, dataset.classes, dataset.n_rows, dataset.name) == ("binary", ("No", "Yes"), 7043, "telco_churn")
    assert dataset.feature_roles["customerID"] == Role.ID
    assert dataset.feature_roles["TotalCharges"] == Role.NUMERIC
    assert dataset.frame["TotalCharges"].isna().sum() == 11
    assert ("missing_words", "TotalCharges", 11) in [
        (issue.code, issue.column, issue.count) for issue in dataset.issues
    ]
    assert "Churn" in reason


def test_row_ids_are_those_of_the_file() -> None:
    dataset = opened(mixed(8))
    assert dataset.row_ids.tolist() == [0, 1, 3, 4, 5, 7]
    assert dataset.frame.index.tolist() == list(range(6))


def test_steering_columns_keep_what_their_values_are() -> None:
    dataset = opened(
        mixed(), time_column="when", group_column="colour", id_columns=["note"], roles={"flag": Role.CATEGORICAL}
    )
    assert (dataset.roles["when"], dataset.feature_roles["when"]) == (Role.TIME, Role.DATETIME)
    assert (dataset.roles["colour"], dataset.feature_roles["colour"]) == (Role.GROUP, Role.CATEGORICAL)
    assert dataset.feature_roles["note"] == Role.ID
    assert dataset.feature_roles["flag"] == Role.CATEGORICAL
    assert "y" not in dataset.frame


def test_a_column_cannot_be_the_target_and_something_else() -> None:
    with pytest.raises(InvalidInput, match="as the target only"):
        opened(mixed(), group_column="y")


def test_the_fingerprint_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    frame = mixed()
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.tsv.gz", index=False, sep="\t")
    one, other = (open_dataset(tmp_path / name, "y")[0] for name in ("a.csv", "b.tsv.gz"))
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 16


def test_the_fingerprint_depends_on_roles_names_and_target() -> None:
    frame = mixed()
    known = {opened(frame).fingerprint}
    for changed in (
        opened(frame, id_columns=["note"]),
        opened(frame, group_column="colour"),
        opened(frame.rename(columns={"size": "weight"})),
        opened(frame[["colour", "key", *frame.columns[2:]]]),
        dataset_of(RawTable(frame, ()), "flag")[0],
    ):
        assert changed.fingerprint not in known
        known.add(changed.fingerprint)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39), st.sampled_from(["key", "colour", "size", "when", "note"]))
def test_one_other_cell_gives_another_fingerprint(row: int, column: str) -> None:
    frame = mixed().assign(y=["a", "b"] * 20)
    other = frame.copy()
    other.loc[row, column] = {"size": 9.75, "when": "2023-05-05"}.get(column, "other")
    assert opened(frame).fingerprint == opened(frame.copy()).fingerprint
    assert opened(frame).fingerprint != opened(other).fingerprint


@pytest.mark.parametrize("target", ["y", "size"])
def test_a_snapshot_gives_the_same_dataset_back(tmp_path: Path, target: str) -> None:
    frame = mixed().assign(**{"c0": range(40), "row_id": 1.0})
    dataset, kind, _ = dataset_of(RawTable(frame, ()), target, group_column="colour")
    save_snapshot(dataset, kind, tmp_path / "data.parquet")
    loaded, loaded_kind = load_snapshot(tmp_path / "data.parquet")
    pd.testing.assert_frame_equal(loaded.frame, dataset.frame)
    assert loaded_kind == kind
    for name in ("name", "target", "roles", "feature_roles", "classes", "fingerprint", "issues", "specs"):
        assert getattr(loaded, name) == getattr(dataset, name)
    assert np.array_equal(loaded.y, dataset.y)
    assert loaded.y.dtype == dataset.y.dtype
    assert np.array_equal(loaded.row_ids, dataset.row_ids)
    assert [path.name for path in tmp_path.iterdir()] == ["data.parquet"]


def test_a_file_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    mixed().to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InvalidInput, match="expected a dataset snapshot"):
        load_snapshot(tmp_path / "other.parquet")


def test_a_text_table_of_plain_numbers_is_read_as_one_with_other_cells_is(tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    rows = [f"{i % 7},{i / 8},{i % 2},{'' if i % 5 else i},0{1000 + i % 90},{i % 2}" for i in range(200)]
    plain.write_text("\n".join(["whole,real,flag,holed,code,y", *rows]))
    other.write_text("\n".join(["whole,real,flag,holed,code,y", *(row.replace(",", " , ") for row in rows)]))
    one, two = (open_dataset(path, "y")[0] for path in (plain, other))
    assert one.fingerprint == two.fingerprint
    assert [one.feature_roles[name].value for name in one.frame.columns] == [
        "numeric",
        "numeric",
        "boolean",
        "numeric",
        "categorical",
    ]
