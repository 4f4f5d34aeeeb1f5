"""The split follows the data: dates that drift, ids that repeat, rows in time order; a merely sorted file is shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.dataset import Dataset, dataset_of
from mle_star.engine.errors import InvalidInput
from mle_star.engine.reading import RawTable
from mle_star.engine.roles import Role
from mle_star.engine.split import choose_split
from mle_star.engine.task import TaskKind

N = 1_200
RNG = np.random.default_rng(7)
DAYS = pd.date_range("2022-01-01", periods=N, freq="D").strftime("%Y-%m-%d")


def opened(columns: dict[str, Any], **options: Any) -> tuple[Dataset, TaskKind]:
    dataset, kind, _ = dataset_of(RawTable(pd.DataFrame(columns), ()), "y", **options)
    return dataset, kind


def chosen(columns: dict[str, Any], **options: Any) -> tuple[str, str | None]:
    split = choose_split(*opened(columns), **options)
    return split.kind, split.column


def walk(n_rows: int = N) -> np.ndarray:
    return np.cumsum(RNG.normal(size=n_rows))


def noise(n_rows: int = N) -> np.ndarray:
    return RNG.normal(size=n_rows)


def test_a_date_column_over_which_the_target_drifts_gives_time() -> None:
    shuffled = RNG.permutation(N)
    columns = {"when": DAYS[shuffled], "x": noise(), "y": walk()[shuffled]}
    assert chosen(columns) == ("time", "when")


def test_a_date_column_without_drift_is_no_reason_for_time() -> None:
    assert chosen({"when": DAYS, "x": noise(), "z": noise(), "y": noise()}) == ("plain", None)


def test_a_date_of_birth_is_no_time_of_observation() -> None:
    assert chosen({"birth_date": DAYS, "x": noise(), "y": np.arange(N) + noise()}) == ("plain", None)


def test_an_id_whose_groups_leave_no_two_folds_with_both_classes_gives_none() -> None:
    patient = np.repeat(np.arange(60), 20)
    columns = {
        "patient_id": patient * 37 + 1_000,
        "x": patient + 0.1 * noise(),
        "y": np.where(patient == 9, "yes", "no"),
    }
    split = choose_split(*opened(columns))
    assert split.kind == "stratified"
    assert "fewer than two would hold both classes" in split.reason
    assert chosen({**columns, "y": np.where(patient % 3 == 0, "yes", "no")}) == ("group", "patient_id")


def test_an_id_that_repeats_with_rows_alike_gives_groups() -> None:
    patient = RNG.integers(0, 400, N) * 37 + 1_000
    effect = dict(zip(np.unique(patient), noise(400), strict=False))
    y = np.array([effect[value] for value in patient]) + 0.3 * noise()
    assert chosen({"patient_nbr": patient, "x": noise(), "y": y}) == ("group", "patient_nbr")


def test_an_id_that_repeats_by_chance_gives_no_groups() -> None:
    assert chosen({"patient_nbr": RNG.integers(0, 400, N), "x": noise(), "y": noise()}) == ("plain", None)


def test_a_counted_thing_is_no_id() -> None:
    households = RNG.integers(1, 400, N)
    assert chosen({"households": households, "x": households + noise(), "y": households + noise()}) == ("plain", None)


@pytest.mark.parametrize(
    "name", ["air_quality_index", "key_skills_score", "number_of_rooms", "body_idx", "week_number"]
)
def test_a_measurement_with_the_name_of_a_key_or_index_is_no_id(name: str) -> None:
    values = RNG.integers(0, 200, N)
    columns = {name: values, "x": noise(), "y": values / 30 + noise()}
    assert chosen(columns) == ("plain", None)
    assert opened(columns)[0].feature_roles[name] is Role.NUMERIC


@pytest.mark.parametrize("name", ["invoice_no", "account_number", "person_key", "sample_no", "specimen_number"])
def test_a_number_of_a_record_that_repeats_is_an_id(name: str) -> None:
    records = np.repeat(RNG.permutation(N // 4) + 10_000, 4)
    columns = {name: records, "x": noise(), "y": noise(N // 4)[np.repeat(np.arange(N // 4), 4)] + 0.1 * noise()}
    assert chosen(columns) == ("group", name)


@pytest.mark.parametrize(
    "shop", [np.repeat(np.arange(30), N // 30), np.repeat([f"shop {i}" for i in range(30)], N // 30)]
)
def test_a_counter_of_a_file_sorted_by_place_is_no_time(shop: np.ndarray) -> None:
    y = np.repeat(noise(30), N // 30) + noise()
    assert chosen({"id": np.arange(1, N + 1), "shop": shop, "x": noise(), "y": y}) == ("plain", None)
    # The same rows with a walk on top do follow each other.
    assert chosen({"id": np.arange(1, N + 1), "shop": shop, "x": noise(), "y": y + walk()}) == ("time", None)


def test_a_row_counter_and_a_target_that_follows_the_row_before_give_time() -> None:
    load = np.sin(np.arange(N) / 9) + 0.5 * noise()
    columns = {"row_id": np.arange(N), "x": noise(), "y": np.where(load > 0, "up", "down")}
    assert chosen(columns) == ("time", None)


def test_a_regular_cycle_and_a_target_that_follows_the_row_before_give_time() -> None:
    assert chosen({"hour": np.arange(N) % 24, "x": noise(), "y": walk()}) == ("time", None)


def test_a_row_counter_alone_is_no_time() -> None:
    assert chosen({"Id": np.arange(N), "x": noise(), "y": noise()}) == ("plain", None)


@pytest.mark.parametrize("with_counter", [False, True])
def test_a_file_sorted_by_its_target_is_shuffled(with_counter: bool) -> None:
    counter = {"Id": np.arange(N)} if with_counter else {}
    assert chosen({**counter, "x": noise(), "y": np.repeat(["a", "b", "c"], N // 3)}) == ("stratified", None)
    assert chosen({**counter, "x": noise(), "y": np.sort(noise())}) == ("plain", None)


def test_rows_clustered_by_place_are_shuffled() -> None:
    place = np.repeat(noise(60), N // 60) + 0.01 * noise()
    assert chosen({"longitude": place, "x": noise(), "y": place + 0.2 * noise()}) == ("plain", None)


def test_what_the_user_names_is_followed() -> None:
    columns = {"when": DAYS, "shop": [f"shop {i % 9}" for i in range(N)], "x": noise(), "y": noise()}
    assert chosen(columns, time_column="when") == ("time", "when")
    assert chosen(columns, group_column="shop") == ("group", "shop")
    assert chosen(columns, time_column="when", group_column="shop") == ("time", "when")
    dataset, kind = opened(columns, group_column="shop")
    assert choose_split(dataset, kind).column == "shop"


def test_what_the_user_rules_out_is_not_inferred() -> None:
    sold = {"when": DAYS, "x": noise(), "y": np.arange(N) / N + 0.1 * noise()}
    assert chosen(sold) == ("time", "when")
    assert chosen(sold, time_column="none") == ("plain", None)
    people = np.repeat(np.arange(N // 4), 4)
    seen = {"user_id": people, "x": noise(), "y": noise(N // 4)[people] + 0.1 * noise()}
    assert chosen(seen, time_column="none") == ("group", "user_id")
    assert chosen(seen, time_column="none", group_column="none") == ("plain", None)
    assert opened(seen)[0].feature_roles["user_id"] is Role.ID
    known, _ = opened({**seen, "row_id": np.arange(N)}, group_column="none")
    assert known.feature_roles["user_id"] is Role.CATEGORICAL, "the same ones will come again"
    assert known.feature_roles["row_id"] is Role.ID


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_column": "whne"}, "did you mean 'when'"),
        ({"time_column": "shop"}, "expected dates"),
        ({"time_column": "half"}, "three points in time or more in 'half', got 2"),
        ({"group_column": "same"}, "two groups or more"),
        ({"holdout": 0.7}, "holdout of auto"),
    ],
)
def test_what_cannot_be_followed_is_refused(options: dict[str, Any], message: str) -> None:
    shop, half = ["a", "b", "c"] * 400, np.repeat([2020, 2021], N // 2)
    columns = {"when": DAYS, "shop": shop, "half": half, "same": ["a"] * N, "x": noise(), "y": noise()}
    with pytest.raises(InvalidInput, match=message):
        choose_split(*opened(columns), **options)


@pytest.mark.parametrize(
    ("n_rows", "holdout", "expected"),
    [
        (1_999, "auto", 0),
        (2_000, "auto", 400),
        (20_000, "auto", 2_000),
        (250_000, "auto", 10_000),
        (500, 0.2, 100),
        (3_000, "none", 0),
    ],
)
def test_the_holdout_has_the_size_it_should(n_rows: int, holdout: Any, expected: int) -> None:
    split = choose_split(*opened({"x": noise(n_rows), "y": noise(n_rows)}), holdout=holdout)
    assert len(split.holdout) == expected
    assert sorted(np.concatenate([split.development, split.holdout])) == list(range(n_rows))


def test_the_holdout_follows_the_rule_of_the_split() -> None:
    shuffled = RNG.permutation(N)
    columns = {"when": DAYS[shuffled], "shop": [f"s{i % 60}" for i in range(N)], "x": noise(), "y": walk()[shuffled]}
    by_time = choose_split(*opened(columns), holdout=0.2)
    assert shuffled[by_time.holdout].min() > shuffled[by_time.development].max()
    assert (np.diff(shuffled[by_time.development]) > 0).all()
    by_group = choose_split(*opened(columns), holdout=0.2, group_column="shop")
    shops = np.array(columns["shop"])
    assert not set(shops[by_group.holdout]) & set(shops[by_group.development])


@pytest.mark.parametrize(
    ("named", "n_parts", "sealed"),
    [
        ("group_column", 2, False),
        ("group_column", 3, False),
        ("group_column", 5, True),
        ("time_column", 3, False),
        ("time_column", 5, True),
    ],
)
def test_few_groups_or_points_in_time_are_all_left_to_the_search(named: str, n_parts: int, sealed: bool) -> None:
    n_rows = 2_400
    columns = {"part": np.arange(n_rows) % n_parts + 2_000, "x": noise(n_rows), "y": noise(n_rows)}
    split = choose_split(*opened(columns), **{named: "part"})
    assert bool(len(split.holdout)) == sealed
    assert ("nothing is sealed" in split.reason) != sealed
    assert len(split.folds(4)) >= 2


def test_a_split_of_classes_knows_them_under_every_rule() -> None:
    columns = {"shop": [f"s{i % 60}" for i in range(N)], "x": noise(), "y": ["a", "b"] * (N // 2)}
    split = choose_split(*opened(columns), group_column="shop")
    assert split.kind == "group"
    assert split.strata is not None


def test_the_choice_is_the_same_every_time() -> None:
    columns = {"x": noise(3_000), "y": ["a", "b", "b"] * 1_000}
    assert choose_split(*opened(columns), seed=3).key == choose_split(*opened(columns), seed=3).key
    assert choose_split(*opened(columns), seed=3).key != choose_split(*opened(columns), seed=4).key
