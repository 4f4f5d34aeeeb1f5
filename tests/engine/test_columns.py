"""Roles are inferred from values and names, and a dirty cell never changes what a column is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.columns import ColumnSpec, infer_column, read_column
from mle_star.engine.errors import InvalidInput
from mle_star.engine.roles import Role

N = 200


def text(values: list[object]) -> pd.Series:
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def role_of(values: list[object] | pd.Series, name: str = "x") -> Role:
    column = values if isinstance(values, pd.Series) else text(values)
    return infer_column(column, name).spec.role


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("x", [i * 0.5 for i in range(N)], Role.NUMERIC),
        ("x", [i % 7 for i in range(N)], Role.NUMERIC),
        ("x", [i % 2 for i in range(N)], Role.BOOLEAN),
        ("x", ["yes", "No"] * 100, Role.BOOLEAN),
        ("x", ["True", None] * 50 + ["False"] * 100, Role.BOOLEAN),
        ("x", ["red", "green", "blue", "red"] * 50, Role.CATEGORICAL),
        ("x", ["male", "female"] * 100, Role.CATEGORICAL),
        ("x", [7] * N, Role.CONSTANT),
        ("x", ["a"] * N, Role.CONSTANT),
        ("x", [None] * N, Role.CONSTANT),
        ("x", list(range(N)), Role.ID),
        ("x", [f"A{i:04d}x" for i in range(N)], Role.ID),
        ("customerID", [(i * 7919) % 10_000_019 for i in range(N)], Role.ID),
        ("patient_nbr", [100_000 + 7919 * (i // 2) for i in range(300)], Role.ID),
        ("admission_type_id", [i % 8 for i in range(N)], Role.NUMERIC),
        ("year", [1900 + i % 100 for i in range(N)], Role.NUMERIC),
        ("zip", [f"{i % 90:05d}" for i in range(N)], Role.CATEGORICAL),
        ("x", [f"row {i} says something of its own" for i in range(N)], Role.TEXT),
        ("x", [f"2024-01-{i % 28 + 1:02d}" for i in range(N)], Role.DATETIME),
        ("x", [f"{i % 28 + 1:02d}/03/2024" for i in range(N)], Role.DATETIME),
        ("x", [f"03/{i % 28 + 1:02d}/2024 14:30" for i in range(N)], Role.DATETIME),
        ("x", [f"{i % 28 + 1} Mar 2024" for i in range(N)], Role.DATETIME),
        ("created_at", [1_700_000_000 + 3_600 * i for i in range(N)], Role.DATETIME),
        ("amount", [1_700_000_000 + 36_000_000 * i for i in range(N)], Role.NUMERIC),
        ("date", [20_240_101 + i % 28 for i in range(N)], Role.DATETIME),
    ],
)
def test_a_role_is_inferred(name: str, values: list[object], role: Role) -> None:
    assert role_of(values, name) == role


@pytest.mark.parametrize("junk", ["a7", "?", "N/A", "-", "", " ", "unknown"])
def test_one_dirty_cell_becomes_missing_and_the_column_stays_numeric(junk: str) -> None:
    typed = infer_column(text([*range(5, 104), junk, *range(5, 105)]), "hr")
    assert typed.spec.role == Role.NUMERIC
    assert np.flatnonzero(typed.values.isna()).tolist() == [99]
    assert typed.values.iloc[98] == 103.0


def test_a_dirty_cell_is_counted_and_shown() -> None:
    (issue,) = infer_column(text([*range(100), "a7", *range(100)]), "hr").issues
    assert (issue.code, issue.column, issue.count) == ("dirty_cells", "hr", 1)
    assert "a7" in issue.message


def test_many_different_words_make_a_category_not_a_dirty_number() -> None:
    assert role_of([*(f"{i % 40}.5" for i in range(980)), *(f"V{i}" for i in range(20))]) == Role.CATEGORICAL


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1,234.5", "12,000", "3"], [1234.5, 12000.0, 3.0]),
        (["$12", "$1,000", "-$3"], [12.0, 1000.0, -3.0]),
        (["12%", "7.5%", "3%"], [12.0, 7.5, 3.0]),
        (["3,14", "2,5", "1.234,5"], [3.14, 2.5, 1234.5]),
        (["1e3", "-2", "+5"], [1000.0, -2.0, 5.0]),
    ],
)
def test_numbers_as_people_write_them_are_read(values: list[object], expected: list[float]) -> None:
    typed = infer_column(text(values), "x")
    assert typed.spec.role == Role.NUMERIC
    assert typed.values.tolist() == expected


def test_infinities_become_missing_and_are_reported() -> None:
    typed = infer_column(pd.Series([1.0, np.inf, -np.inf, 2.5] * 10), "x")
    assert typed.values.isna().sum() == 20
    assert [(issue.code, issue.count) for issue in typed.issues] == [("infinite", 20)]


def test_mixed_types_are_read_as_one_and_reported() -> None:
    typed = infer_column(pd.Series([1, 2.5, "red", True, None] * 10, dtype=object), "x")
    assert typed.spec.role == Role.CATEGORICAL
    assert "mixed_types" in [issue.code for issue in typed.issues]
    assert typed.values.isna().sum() == 10


def test_values_are_typed_as_the_table_contract_says() -> None:
    assert infer_column(text(["b", "a", None, "b"]), "x").values.cat.categories.tolist() == ["a", "b"]
    levels = infer_column(text([10, 9, 1] * 9), "x", Role.CATEGORICAL).values.cat.categories
    assert levels.tolist() == ["1", "9", "10"]
    assert infer_column(pd.Series([True, False, None], dtype="boolean"), "x").values.tolist()[:2] == [1.0, 0.0]
    zoned = pd.Series(pd.to_datetime(["2024-01-01T12:00+02:00", "2024-01-02T12:00+02:00"]))
    assert infer_column(zoned, "x").values.iloc[0] == pd.Timestamp("2024-01-01 10:00")


def test_ambiguous_dates_are_read_month_first_and_reported() -> None:
    typed = infer_column(text([f"{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024" for i in range(50)]), "x")
    assert typed.spec.date_format == "%m/%d/%Y"
    assert [issue.code for issue in typed.issues] == ["ambiguous_dates"]


def test_a_number_and_its_text_are_the_same_category() -> None:
    from_text = infer_column(text([1, 2, 3] * 9), "x", Role.CATEGORICAL).values
    from_float = infer_column(pd.Series([1.0, 2.0, 3.0] * 9), "x", Role.CATEGORICAL).values
    pd.testing.assert_series_equal(from_text, from_float)


def test_an_override_that_cannot_read_the_values_is_refused() -> None:
    with pytest.raises(InvalidInput, match="numeric values in 'x'"):
        infer_column(text(["red", "green"] * 20), "x", Role.NUMERIC)
    with pytest.raises(InvalidInput, match="expected dates in 'x'"):
        infer_column(text(["red", "green"] * 20), "x", Role.DATETIME)


def test_whole_numbers_beyond_the_precision_of_floats_stay_apart() -> None:
    typed = infer_column(pd.Series(np.arange(60) + 2**60), "x")
    assert typed.spec.role == Role.ID
    assert typed.values.iloc[1] == str(2**60 + 1)


def test_whole_numbers_with_dots_between_thousands_are_read_as_such_where_the_comma_is_decimal() -> None:
    typed = infer_column(text(["1.234,50", "987,25", "1.234", "2.500", "999", "0.5"]), "x")
    assert typed.spec.decimal_comma
    assert typed.values.tolist() == [1234.5, 987.25, 1234.0, 2500.0, 999.0, 0.5]
    plain = infer_column(text(["1.234", "2.500", "999", "0.5"]), "x")
    assert plain.values.tolist() == [1.234, 2.5, 999.0, 0.5]
    # A later file is read the same way, whatever its other rows are; a number in memory is a number.
    spec = ColumnSpec.from_json(typed.spec.to_json())
    for later in (["1.234"], ["1.234", "2,5"]):
        assert read_column(spec, text(later))[0].iloc[0] == 1234.0
    assert read_column(spec, pd.Series([1.234]))[0].iloc[0] == 1.234


def test_one_decimal_comma_among_numbers_with_three_decimals_changes_no_other_number() -> None:
    values = np.random.default_rng(0).normal(12.0, 0.5, 500).round(3)
    typed = infer_column(text([*(f"{value:.3f}" for value in values), "3,5"]), "x")
    assert typed.values.iloc[:-1].tolist() == values.tolist()


def test_many_decimal_commas_beside_dotted_thousands_are_evidence_enough() -> None:
    typed = infer_column(text(["1.234", "2.500", "0,5", "3,25", "17,1"] * 20), "x")
    assert typed.values.iloc[:5].tolist() == [1234.0, 2500.0, 0.5, 3.25, 17.1]


def test_a_column_of_two_formats_of_dates_is_read_by_both_and_reported() -> None:
    days = pd.date_range("2020-01-02", periods=600, freq="D")
    written = [day.strftime("%Y-%m-%d" if number % 2 else "%d/%m/%Y") for number, day in enumerate(days)]
    typed = infer_column(text(written), "x")
    assert typed.spec.role is Role.DATETIME
    assert typed.values.tolist() == days.tolist()
    assert "mixed_dates" in {issue.code for issue in typed.issues}
    # A later file is read the same way.
    again, issues = read_column(ColumnSpec.from_json(typed.spec.to_json()), text(["31/12/2024", "2024-12-31", "soon"]))
    assert again.tolist() == [pd.Timestamp("2024-12-31")] * 2 + [pd.NaT]
    assert [issue.count for issue in issues] == [1]


def test_codes_that_look_like_a_year_and_a_month_are_no_dates() -> None:
    assert role_of([f"{4000 + i % 10}-{i % 8 + 1:02d}" for i in range(N)]) is Role.CATEGORICAL
    assert role_of([f"{1990 + i % 30}-{i % 12 + 1:02d}" for i in range(N)]) is Role.DATETIME


def test_counted_seconds_that_a_later_file_writes_as_dates_are_reported() -> None:
    spec = infer_column(text([1_700_000_000 + 3_600 * i for i in range(N)]), "created_at").spec
    values, issues = read_column(spec, text(["1700000000", "2024-12-31"]))
    assert values.isna().tolist() == [False, True]
    assert [(issue.code, issue.count) for issue in issues] == [("dirty_cells", 1)]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.Categorical([1, 2, None, 3])),
        pd.Series(pd.Categorical([True, False, None, True])),
        pd.Series(pd.Categorical(pd.to_datetime(["2020-01-01", None, "2020-02-01", "2020-01-01"]))),
        pd.Series(pd.period_range("2020-01", periods=4, freq="M")),
        pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3, 4])),
    ],
)
def test_columns_of_any_type_of_pandas_are_read(column: pd.Series) -> None:
    typed = infer_column(column, "x")
    assert len(typed.values) == 4
    assert typed.values.isna().tolist() == column.isna().tolist()
