"""Folds keep their promises whatever the rows: nothing shared, groups whole, no training on the future."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mle_star.engine.folds import Split

SEEDS = st.integers(0, 5)
FOLDS = st.integers(2, 6)


def split(kind: Any, n_rows: int, codes: np.ndarray | None = None, seed: int = 0) -> Split:
    rule = {"group": "groups", "time": "order", "stratified": "strata"}.get(kind)
    arrays: dict[str, Any] = {"groups": None, "order": None, "strata": None}
    if rule:
        arrays[rule] = codes
    rows = np.arange(n_rows)
    return Split(kind, "test", rows, rows[:0], seed=seed, **arrays)


def codes(maximum: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.integers(0, maximum), min_size=8, max_size=80).map(np.array)


@settings(max_examples=60, deadline=None)
@given(codes(4), FOLDS, SEEDS, st.sampled_from(["plain", "stratified", "group"]))
def test_every_row_is_validated_once_per_repeat_and_never_trained_on_there(
    values: np.ndarray, n_folds: int, seed: int, kind: str
) -> None:
    # One group alone cannot be split: the next test says what it gives.
    assume(kind != "group" or np.ptp(values) > 0)
    chosen = split(kind, len(values), values, seed)
    folds = chosen.folds(n_folds, repeats=2)
    for repeat in (0, 1):
        validated = np.concatenate([fold.valid for fold in folds if fold.repeat == repeat])
        assert sorted(validated) == list(range(len(values)))
    for fold in folds:
        assert len(np.intersect1d(fold.train, fold.valid)) == 0
        assert len(fold.train) + len(fold.valid) == len(values)


def test_a_single_group_gives_no_folds() -> None:
    chosen = split("group", 8, np.zeros(8, dtype=np.int64))
    assert chosen.folds(2, repeats=2) == ()
    assert chosen.inner_folds(np.arange(8), 2, 0) == []


@settings(max_examples=60, deadline=None)
@given(codes(12), FOLDS, SEEDS)
def test_groups_never_straddle(values: np.ndarray, n_folds: int, seed: int) -> None:
    chosen = split("group", len(values), values, seed)
    for fold in chosen.folds(n_folds):
        assert not set(values[fold.train]) & set(values[fold.valid])
    for fit, held in chosen.inner_folds(np.arange(0, len(values), 2), 3, seed):
        assert not set(values[::2][fit]) & set(values[::2][held])
    fit, held = chosen.inner_holdout(np.arange(len(values)), 0.25, seed)
    assert not set(values[fit]) & set(values[held])


@settings(max_examples=60, deadline=None)
@given(codes(15), FOLDS, st.integers(1, 3))
def test_time_never_trains_on_the_future_and_equal_times_stay_together(
    values: np.ndarray, n_folds: int, repeats: int
) -> None:
    chosen = split("time", len(values), values)
    for fold in chosen.folds(n_folds, repeats):
        assert len(fold.train)
        assert len(fold.valid)
        assert values[fold.train].max() < values[fold.valid].min()
    fit, held = chosen.inner_holdout(np.arange(len(values)), 0.25, 0)
    assert len(held) == 0 or values[fit].max() < values[held].min()


@settings(max_examples=40, deadline=None)
@given(codes(3), FOLDS, SEEDS)
def test_classes_are_spread_evenly_over_folds(values: np.ndarray, n_folds: int, seed: int) -> None:
    counts = [
        np.bincount(values[fold.valid], minlength=4)
        for fold in split("stratified", len(values), values, seed).folds(n_folds)
    ]
    assert (np.ptp(np.array(counts), axis=0) <= 1).all()


@pytest.mark.parametrize(("positives", "n_folds"), [(3, 3), (2, 2), (1, 5), (7, 5)])
def test_a_rare_class_limits_the_folds_of_a_binary_task(positives: int, n_folds: int) -> None:
    labels = np.array([0] * 20 + [1] * positives)
    folds = split("stratified", len(labels), labels).folds(5)
    assert len(folds) == n_folds
    assert positives == 1 or all(labels[fold.valid].any() for fold in folds)


def test_a_class_of_many_with_fewer_rows_than_folds_misses_some_folds() -> None:
    labels = np.array([0] * 50 + [1] * 47 + [2] * 3)
    held = [(labels[fold.valid] == 2).sum() for fold in split("stratified", 100, labels).folds(5)]
    assert sorted(held) == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["group", "time"])
def test_folds_with_one_class_are_left_out_while_two_others_remain(kind: str) -> None:
    parts = np.repeat(np.arange(10), 10)
    labels = np.where(np.isin(parts, (5, 8)), 0, np.arange(100) % 2)
    mixed = replace(split(kind, 100, parts), strata=labels)
    kept, cut = mixed.folds(10), replace(mixed, strata=None).folds(10)
    assert 2 <= len(kept) < len(cut)
    assert all(np.ptp(labels[fold.valid]) == 1 for fold in kept)
    assert len(mixed.inner_folds(np.arange(100), 10, 0)) == len(cut)
    alone = replace(mixed, strata=(parts == 8).astype(np.int64))
    assert len(alone.folds(10)) == len(cut)


@settings(max_examples=60, deadline=None)
@given(begins=st.floats(0.3, 0.95), n_folds=st.integers(2, 5), seed=SEEDS)
def test_blocks_of_time_hold_both_classes_however_late_the_rarer_one_begins(
    begins: float, n_folds: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    labels = (np.arange(600) >= begins * 600) & (random.random(600) < 0.4)
    late = replace(split("time", 600, np.arange(600)), strata=labels.astype(np.int64))
    assert late.tells_classes_apart
    folds = late.folds(n_folds)
    assert len(folds) >= 2
    for fold in folds:
        assert np.ptp(late.strata[fold.train]) == np.ptp(late.strata[fold.valid]) == 1
        assert fold.train.max() < fold.valid.min()


def test_a_split_says_where_no_two_folds_hold_both_classes() -> None:
    parts = np.repeat(np.arange(10), 10)
    one_positive_group = replace(split("group", 100, parts), strata=(parts == 8).astype(np.int64))
    assert not one_positive_group.tells_classes_apart
    assert replace(one_positive_group, strata=np.isin(parts, (2, 8)).astype(np.int64)).tells_classes_apart
    assert split("group", 100, parts).tells_classes_apart


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n_classes=st.integers(2, 3))
def test_few_groups_of_one_class_each_are_dealt_so_that_folds_have_every_class(seed: int, n_classes: int) -> None:
    groups = np.repeat(np.arange(8 * n_classes), 20)
    labels = groups % n_classes
    patients = replace(split("group", len(groups), groups, seed), strata=labels)
    for fold in patients.folds(4):
        assert np.bincount(labels[fold.valid], minlength=n_classes).tolist() == [40] * n_classes
    kept, held = patients.inner_holdout(np.arange(len(groups)), 1 / 4, seed)
    assert np.bincount(labels[held]).min() >= 20
    assert not set(groups[kept]) & set(groups[held])


@pytest.mark.parametrize("kind", ["plain", "stratified", "group", "time"])
def test_no_fold_has_an_empty_part(kind: str) -> None:
    one = split(kind, 6, np.zeros(6, dtype=np.int64))
    assert one.folds(3, rows=np.arange(1)) == ()
    assert one.inner_folds(np.arange(0), 3, 0) == []
    for fold in split(kind, 6, np.arange(6) // 3).folds(5):
        assert len(fold.train)
        assert len(fold.valid)


@pytest.mark.parametrize("sizes", [(98, 1, 1), (1, 1, 98), (1, 98, 1)])
def test_three_points_in_time_give_two_folds_however_unequal(sizes: tuple[int, ...]) -> None:
    assert len(split("time", 100, np.repeat(np.arange(3), sizes)).folds(2)) == 2


def test_time_folds_validate_the_later_part_in_expanding_windows_and_repeats_shift_the_cuts() -> None:
    folds = split("time", 1000, np.arange(1000)).folds(4, repeats=2)
    assert [len(fold.train) for fold in folds[:4]] == [400, 550, 700, 850]
    assert [len(fold.train) for fold in folds[4:]] != [400, 550, 700, 850]
    assert folds[3].valid[-1] == 999


def test_folds_are_the_same_for_the_same_seed_and_differ_between_repeats() -> None:
    one, again, other = (split("plain", 50, seed=seed).folds(5, 2) for seed in (1, 1, 2))
    assert all(np.array_equal(left.valid, right.valid) for left, right in zip(one, again, strict=True))
    assert not np.array_equal(one[0].valid, other[0].valid)
    assert not np.array_equal(one[0].valid, one[5].valid)


def test_folds_of_some_rows_name_positions_in_the_dataset() -> None:
    rows = np.arange(10, 40)
    folds = split("plain", 50).folds(3, rows=rows)
    assert sorted(np.concatenate([fold.valid for fold in folds])) == list(rows)


@pytest.mark.parametrize("kind", ["plain", "stratified", "group", "time"])
def test_an_inner_holdout_takes_about_the_fraction_by_the_rule(kind: str) -> None:
    values = np.repeat(np.arange(100), 2)
    fit, held = split(kind, 200, values).inner_holdout(np.arange(200), 0.2, 3)
    assert abs(len(held) - 40) <= 1
    assert sorted(np.concatenate([fit, held])) == list(range(200))
    if kind == "time":
        assert held.min() == 160


def test_the_key_tells_splits_with_other_groups_apart() -> None:
    groups = np.arange(20) // 2
    assert split("group", 20, groups).key == split("group", 20, groups.copy()).key
    assert split("group", 20, groups).key != split("group", 20, groups // 2).key


def test_a_saved_split_comes_back_with_the_same_key(tmp_path: Path) -> None:
    saved = replace(split("group", 20, np.arange(20) // 2), strata=np.arange(20) % 2)
    assert saved.key != replace(saved, strata=None).key
    saved.save(tmp_path / "split.npz")
    assert Split.load(tmp_path / "split.npz").key == saved.key


@pytest.mark.parametrize("kind", ["group", "time"])
@pytest.mark.parametrize("n_parts", [3, 5, 24])
def test_a_sample_of_few_large_groups_or_points_in_time_can_still_be_cut_into_folds(kind: str, n_parts: int) -> None:
    values = np.repeat(np.arange(n_parts), 24_000 // n_parts)
    chosen = split(kind, len(values), values)
    drawn = chosen.subsample(1_000)
    assert 800 <= len(drawn) <= 1_250
    assert len(np.unique(drawn)) == len(drawn)
    assert len(chosen.folds(3, rows=drawn)) >= 2
    parts = np.unique(values[drawn])
    if kind == "time":
        # The newest ones, in time order.
        assert parts.tolist() == list(range(n_parts))[-10:]
        assert (np.diff(values[drawn]) >= 0).all()
    else:
        assert len(parts) == n_parts


def test_a_sample_of_many_groups_takes_whole_ones_and_of_many_days_the_newest() -> None:
    values = np.repeat(np.arange(1_000), 20)
    groups = split("group", len(values), values).subsample(2_000)
    counts = np.bincount(values[groups], minlength=1_000)
    assert set(counts.tolist()) == {0, 20}
    days = split("time", len(values), values).subsample(2_000)
    assert np.unique(values[days]).tolist() == list(range(900, 1_000))


def test_a_sample_by_time_has_its_rows_where_one_day_holds_many() -> None:
    sizes = np.full(900, 100)
    sizes[-13] = 14_000
    values = np.repeat(np.arange(900), sizes)
    drawn = split("time", len(values), values).subsample(10_000)
    assert 8_000 <= len(drawn) <= 12_500
    assert values[drawn].max() == 899
