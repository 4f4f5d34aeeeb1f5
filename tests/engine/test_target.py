"""The target decides the task; what cannot be learnt is refused with what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.errors import InvalidInput
from mle_star.engine.target import check_metric, clean_target, find_column


def series(values: list[object]) -> pd.Series:
    return pd.Series([None if value is None else str(value) for value in values], dtype="str", name="y")


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ([0, 1] * 20, "binary", ("0", "1")),
        (["Yes", "No"] * 20, "binary", ("No", "Yes")),
        (["True", "False"] * 20, "binary", ("False", "True")),
        ([f"{i % 12}" for i in range(120)], "multiclass", tuple(map(str, range(12)))),
        (["1.0", "2.0", "3.0"] * 20, "multiclass", ("1.0", "2.0", "3.0")),
        (["c", "a", "b"] * 20, "multiclass", ("a", "b", "c")),
        (list(range(100)), "regression", ()),
        ([0.5, 1.0, 1.5, 2.0] * 10, "regression", ()),
        (list(range(9)), "regression", ()),
    ],
)
def test_the_task_is_inferred_with_labels_as_written(values: list[object], kind: str, classes: tuple[str, ...]) -> None:
    target = clean_target(series(values))
    assert (target.kind, target.classes) == (kind, classes)
    assert "y" in target.reason


def test_rows_without_a_target_are_left_out_and_reported() -> None:
    target = clean_target(series(["1.5", "", None, "2.5", " ", "4"] * 5))
    assert target.keep.tolist() == [True, False, False, True, False, True] * 5
    assert target.y.tolist() == [1.5, 2.5, 4.0] * 5
    assert [(issue.code, issue.count) for issue in target.issues] == [("missing_target", 15)]


def test_a_dirty_number_is_left_out_of_a_regression_target() -> None:
    target = clean_target(series([*(i + 0.5 for i in range(100)), "oops"]))
    assert target.kind == "regression"
    assert len(target.y) == 100
    assert {issue.code for issue in target.issues} == {"missing_target", "dirty_target"}


def test_rare_classes_are_kept_and_reported() -> None:
    target = clean_target(series(["a"] * 50 + ["b"] * 50 + ["c"] * 2))
    assert target.classes == ("a", "b", "c")
    assert [(issue.code, issue.count) for issue in target.issues] == [("rare_classes", 2)]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["fraud"] * 10 + ["legit"] * 90, ("legit", "fraud")),
        (["fraud"] * 90 + ["legit"] * 10, ("fraud", "legit")),
        (["a"] * 50 + ["b"] * 50, ("a", "b")),
        # A number or a usual word says itself which one is positive.
        (["1"] * 90 + ["0"] * 10, ("0", "1")),
        (["yes"] * 90 + ["no"] * 10, ("no", "yes")),
        (["Neg"] * 10 + ["Pos"] * 90, ("Neg", "Pos")),
        (["no"] * 10 + ["fraud"] * 90, ("no", "fraud")),
        (["negative"] * 10 + ["malignant"] * 90, ("negative", "malignant")),
        (["Yes"] * 90 + ["no"] * 10, ("no", "Yes")),
    ],
)
def test_the_positive_label_of_two_is_the_rarer_one_and_is_named(
    values: list[object], classes: tuple[str, str]
) -> None:
    target = clean_target(series(values))
    assert target.classes == classes
    assert f"{classes[1]} counts as the positive one" in target.reason
    assert target.y.sum() == values.count(classes[1])


@pytest.mark.parametrize("word", ["unknown", "-", "N.A.", "None"])
def test_a_word_among_numbers_is_a_missing_label(word: str) -> None:
    two = clean_target(series([*["0", "1"] * 200, *[word] * 5]))
    assert (two.kind, two.classes, len(two.y)) == ("binary", ("0", "1"), 400)
    assert [(issue.code, issue.count) for issue in two.issues] == [("missing_target", 5)]
    three = clean_target(series([*["1", "2", "3"] * 100, *[word] * 5]))
    assert (three.kind, three.classes, len(three.y)) == ("multiclass", ("1", "2", "3"), 300)
    asked = clean_target(series([*["1", "2", "3"] * 100, *[word] * 5]), "multiclass")
    assert len(asked.classes) == 4


def test_a_frequent_word_beside_numbers_is_a_label() -> None:
    doors = clean_target(series([*["1", "2", "3"] * 30, *["none"] * 300]))
    assert (doors.kind, len(doors.classes), len(doors.y)) == ("multiclass", 4, 390)
    two = clean_target(series(["1"] * 100 + ["None"] * 100))
    assert (two.kind, len(two.y)) == ("binary", 200)
    three = clean_target(series([*["0", "1"] * 50, *["unknown"] * 40]))
    assert (three.kind, three.classes) == ("multiclass", ("0", "1", "unknown"))


def test_junk_among_numbers_is_no_label_and_is_reported() -> None:
    target = clean_target(series([*["0", "1"] * 200, "oops"]))
    assert (target.kind, target.classes, len(target.y)) == ("binary", ("0", "1"), 400)
    assert {issue.code for issue in target.issues} == {"missing_target", "dirty_target"}


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["a"] * 20, "auto", "always 'a'"),
        ([None] * 20, "auto", "every cell of 'y' is missing"),
        ([f"word{i}" for i in range(20)], "auto", "two rows or more each"),
        (list(range(20)), "multiclass", "ask for regression"),
        (["a", "b", "c"] * 9, "binary", "'y' has 3"),
        (["a", "b"] * 9, "regression", "expected numbers"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(values: list[object], task: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        clean_target(series(values), task)  # type: ignore[arg-type]


@pytest.mark.parametrize(("metric", "values"), [("rmsle", [-0.5, 2.0]), ("mape", [0.0, 2.0])])
def test_a_metric_without_a_value_on_the_target_is_refused(metric: str, values: list[float]) -> None:
    y = np.array(values)
    with pytest.raises(InvalidInput, match=f"for {metric}, got 1 in 2 rows"):
        check_metric(metric, "regression", y)
    check_metric("rmse", "regression", y)
    check_metric(metric, "regression", np.abs(y) + 1.0)
    check_metric("roc_auc", "binary", np.array([0, 1]))


def test_an_unknown_column_is_answered_with_the_nearest_name() -> None:
    frame = pd.DataFrame(columns=["Churn", "tenure"])
    with pytest.raises(InvalidInput, match="did you mean 'Churn'"):
        find_column(frame, "chrun", "target")
    assert find_column(frame, " Churn ", "target") == "Churn"
