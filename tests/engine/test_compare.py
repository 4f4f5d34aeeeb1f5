"""Comparing fold scores: the corrected t statistic, its degenerate cases, and Holm's correction."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mle_star.engine.compare import accept, holm, interval_of_next, interval_of_sample, paired_comparison
from mle_star.engine.task import METRICS
from scipy import stats

AUC, RMSE = METRICS["roc_auc"], METRICS["rmse"]
scores = st.lists(st.floats(-1e6, 1e6, allow_nan=False, width=32), min_size=2, max_size=12)


def test_the_statistic_equals_the_formula_of_nadeau_and_bengio():
    new, old = [0.80, 0.82, 0.79, 0.84, 0.81], [0.78, 0.81, 0.80, 0.80, 0.79]
    found = paired_comparison(new, old, AUC, 0.25)
    # Differences 0.02, 0.01, −0.01, 0.04, 0.02: mean 0.016, sum of squares about it 0.00132, variance 0.00033.
    error = math.sqrt(0.00033 * (1 / 5 + 1 / 4))
    assert found.mean_gain == pytest.approx(0.016)
    assert found.standard_error == pytest.approx(error)
    assert found.t == pytest.approx(0.016 / error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.016 / error, 4))
    assert found.interval == pytest.approx(stats.t.interval(0.95, 4, loc=0.016, scale=error))


def test_without_shared_training_rows_it_is_the_ordinary_paired_t_test():
    rng = np.random.default_rng(0)
    new, old = rng.normal(size=20), rng.normal(size=20)
    assert paired_comparison(new, old, AUC, 0.0).p_value == pytest.approx(stats.ttest_rel(new, old).pvalue)


def test_ten_times_ten_folds_are_less_certain_than_a_plain_t_test_says():
    rng = np.random.default_rng(1)
    gains = rng.normal(0.01, 0.03, size=100)
    corrected = paired_comparison(gains, np.zeros(100), AUC, 1 / 9)
    assert corrected.p_value > stats.ttest_1samp(gains, 0).pvalue
    assert corrected.t == pytest.approx(stats.ttest_1samp(gains, 0).statistic / math.sqrt(1 + 100 / 9))


def test_a_lower_error_is_a_gain():
    found = paired_comparison([1.0, 1.1, 0.9], [2.0, 2.2, 2.1], RMSE, 0.5)
    assert found.mean_gain == pytest.approx(1.1)
    assert accept(found)


def test_identical_scores_are_no_gain_and_are_never_accepted():
    found = paired_comparison([0.7, 0.8], [0.7, 0.8], AUC, 1.0)
    assert (found.mean_gain, found.t, found.p_value) == (0.0, 0.0, 1.0)
    assert not accept(found)
    assert not accept(found, minimum_standard_errors=0.0)


def test_one_fold_gives_no_evidence():
    found = paired_comparison([0.9], [0.1], AUC, 0.25)
    assert found.p_value == 1.0
    assert found.interval[0] <= 0.0 <= found.interval[1]
    assert not accept(found)


def test_no_folds_give_no_evidence():
    assert not accept(paired_comparison([], [], AUC, 0.25))


def test_the_same_gain_on_every_fold_is_certain():
    found = paired_comparison([0.75, 0.875, 0.625], [0.5, 0.625, 0.375], AUC, 0.5)
    assert math.isfinite(found.t)
    assert found.p_value < 1e-6
    assert accept(found)


def test_a_gain_within_one_standard_error_is_refused():
    found = paired_comparison([0.80, 0.70, 0.75], [0.70, 0.78, 0.74], AUC, 0.5)
    assert 0 < found.mean_gain < found.standard_error
    assert not accept(found)


@pytest.mark.parametrize(
    ("new", "old", "ratio"),
    [([0.1], [0.1, 0.2], 0.2), ([math.nan, 1.0], [0.0, 1.0], 0.2), ([1.0, 2.0], [1.0, 2.0], -1)],
)
def test_scores_that_cannot_be_compared_are_an_error(new, old, ratio):
    with pytest.raises(ValueError, match="expected"):
        paired_comparison(new, old, AUC, ratio)


@given(scores, st.data(), st.floats(0, 2))
def test_swapping_the_two_mirrors_everything(new, data, ratio):
    old = data.draw(st.lists(st.floats(-1e6, 1e6, width=32), min_size=len(new), max_size=len(new)))
    one, other = paired_comparison(new, old, AUC, ratio), paired_comparison(old, new, AUC, ratio)
    assert one.mean_gain == pytest.approx(-other.mean_gain)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert not (accept(one) and accept(other))
    assert all(math.isfinite(value) for value in (one.t, one.p_value, one.standard_error, *one.interval))
    assert 0.0 <= one.p_value <= 1.0


def test_holm_equals_the_published_procedure():
    # 0.01·4, then the running maximum of 0.02·3, 0.03·2, 0.04·1.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), max_size=15))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(raw <= new <= 1.0 for raw, new in zip(p_values, adjusted, strict=True))
    ranked = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_the_interval_of_the_next_block_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(2000):
        *past, following = rng.normal(100.0, 8.0, size=6)
        low, high = interval_of_next(float(np.mean(past)), past, RMSE)
        inside += low <= following <= high
    assert 0.93 <= inside / 2000 <= 0.97


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
def test_no_interval_of_a_next_block_promises_more_than_perfect(blocks):
    centre = float(np.mean(blocks))
    assert interval_of_next(centre, blocks, AUC)[1] <= 1.0
    assert interval_of_next(centre, blocks, RMSE)[0] >= 0.0
    low, high = interval_of_next(centre, blocks, AUC)
    assert low <= centre <= high


def test_the_interval_of_a_sample_covers_as_many_new_rows_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(600):
        rows, fresh = rng.normal(10.0, 3.0, size=(2, 80))
        resampled = rows[rng.integers(0, 80, size=(200, 80))].mean(axis=1)
        low, high = interval_of_sample(float(rows.mean()), list(resampled), RMSE)
        inside += low <= fresh.mean() <= high
    assert 0.92 <= inside / 600 <= 0.98
    assert interval_of_sample(0.99, [0.97, 0.99, 1.0], AUC)[1] <= 1.0


def test_blocks_that_are_alike_by_chance_promise_no_more_than_their_rows_allow():
    rng = np.random.default_rng(4)
    covered = {0.0: 0, 8.0: 0}
    alike = 0
    for _ in range(20_000):
        *past, following = rng.normal(100.0, 8.0, size=6)
        if np.std(past, ddof=1) > 3.0:
            continue
        alike += 1
        for noise in covered:
            low, high = interval_of_next(float(np.mean(past)), past, RMSE, noise)
            covered[noise] += low <= following <= high
    assert covered[0.0] / alike < 0.8
    assert 0.93 <= covered[8.0] / alike <= 0.97


def test_one_block_says_nothing_about_the_next():
    assert interval_of_next(0.8, [0.8], AUC) is None
