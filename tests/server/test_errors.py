"""What a client is told about a failure."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from mle_star.engine.errors import DeadlinePassed, NotFound
from mle_star.server.errors import argument_message, failure_of, is_disk_full
from mle_star.tools.profile_dataset import ProfileRequest
from pydantic import ValidationError


def told(**arguments: object) -> str:
    with pytest.raises(ValidationError) as error:
        ProfileRequest.model_validate(arguments)
    return argument_message(error.value, "profile_dataset", ProfileRequest)


def test_argument_errors_are_one_paragraph_that_says_what_is_accepted() -> None:
    text = told(path="a.csv", target="y", task="ranking", time_budget_s=-1)
    assert text == (
        "time_budget_s should be above 0 and at most 86,400, got -1; task should be 'auto', 'binary', 'multiclass' or "
        "'regression', got 'ranking'. Correct this and call profile_dataset again"
    )


def test_a_missing_and_a_misspelt_argument_are_named() -> None:
    text = told(path="a.csv", targt="y")
    assert "target is required" in text
    assert "there is no argument targt; did you mean target?" in text


def test_a_broken_bound_or_pattern_is_told_with_all_that_is_accepted() -> None:
    assert "holdout should be auto, none, or the sealed share of rows, e.g. 0.2, got '1e-3'" in told(
        path="a.csv", target="y", holdout="1e-3"
    )
    assert "wait_s should be at least 0 and at most 300, got 999" in told(path="a.csv", target="y", wait_s=999)
    assert "target must not be empty, got ''" in told(path="a.csv", target="")


def test_long_input_is_cut() -> None:
    assert len(told(path="a.csv", target="y", name="n" * 10_000)) < 400


def test_failures_have_types() -> None:
    kinds = {
        failure_of(error, "refine", "run_a_0001").kind: error
        for error in (DeadlinePassed("over"), NotFound("none"), MemoryError(), RuntimeError("x"))
    }
    assert set(kinds) == {"timeout", "invalid", "memory", "error"}


def test_an_unexpected_error_tells_its_type_and_where_its_details_are_but_not_its_text() -> None:
    failure = failure_of(RuntimeError("password"), "refine", "run_a_0001")
    assert "RuntimeError" in failure.message
    assert "runs/run_a_0001/worker.log" in failure.message
    assert "password" not in failure.message


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), sqlite3.OperationalError("database or disk is full")],
)
def test_a_full_disk_is_recognised(error: Exception) -> None:
    assert is_disk_full(error)
    assert "free some space" in failure_of(error, "refine", "run_a_0001").message
