"""Comparing scores that were measured on the same folds, and saying how sure one can be of them.

Folds share training rows, so the plain t test is far too sure of itself; the corrected resampled t statistic (Nadeau and Bengio,
"Inference for the generalization error", Machine Learning 52, 2003) widens the variance by the share of rows that are tested.
Nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from .task import Metric

Interval = tuple[float, float]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """A new solution against an old one, paired by fold. All numbers are finite.

    Attributes
    ----------
    mean_gain : float
        Mean gain over the folds in the metric's units; positive: the new one is better, whatever the metric's direction.
    standard_error : float
        Corrected standard error of `mean_gain`. With a single fold the noise is unknown and counted as large as the gain.
    t : float
        Corrected resampled t statistic, `n − 1` degrees of freedom.
    p_value : float
        Two-sided.
    interval : (float, float)
        95 % confidence interval of `mean_gain`.
    n : int
        Folds compared.
    """

    mean_gain: float
    standard_error: float
    t: float
    p_value: float
    interval: Interval
    n: int


def corrected_standard_error(values: np.ndarray, test_train_ratio: float) -> float:
    """Standard error of the mean of `values (k,)`, k ≥ 2, with the variance times `1/k + n_test/n_train`."""
    return float(np.sqrt(np.var(values, ddof=1) * (1.0 / len(values) + test_train_ratio)))


def paired_comparison(
    new_scores: Sequence[float], old_scores: Sequence[float], metric: Metric, test_train_ratio: float
) -> Comparison:
    """Compare two solutions scored on the same folds in the same order.

    Parameters
    ----------
    new_scores, old_scores : sequence of float (k,)
        One score per fold, in the metric's own direction.
    test_train_ratio : float
        Validation rows per training row, `1 / (k − 1)` for k-fold cross-validation.

    Raises
    ------
    ValueError
        The lengths differ, a score is not finite (a failed evaluation has no scores to compare), or the ratio is negative.
    """
    new, old = _checked(new_scores), _checked(old_scores)
    if len(new) != len(old):
        raise ValueError(f"expected one score per fold from both, got {len(new)} and {len(old)}")
    if test_train_ratio < 0:
        raise ValueError(f"expected a ratio of validation to training rows of at least 0, got {test_train_ratio}")
    gains = new - old if metric.greater_is_better else old - new
    n = len(gains)
    if not gains.any():
        # No folds, or identical scores on all of them.
        return Comparison(0.0, 0.0, 0.0, 1.0, (0.0, 0.0), n)
    gain = float(gains.mean())
    if n == 1:
        return Comparison(gain, abs(gain), 0.0, 1.0, (min(0.0, 2 * gain), max(0.0, 2 * gain)), 1)
    # Differences below the rounding of the scores themselves are no evidence: they bound the error from below.
    rounding = float(np.finfo(np.float64).eps * max(np.abs(new).max(), np.abs(old).max(), np.finfo(np.float64).tiny))
    error = max(corrected_standard_error(gains, test_train_ratio), rounding)
    t = gain / error
    reach = float(stdtrit(n - 1, 0.5 + _CONFIDENCE / 2)) * error
    return Comparison(gain, error, t, float(2.0 * stdtr(n - 1, -abs(t))), (gain - reach, gain + reach), n)


def accept(comparison: Comparison, minimum_standard_errors: float = 1.0) -> bool:
    """Whether the new one is better by more than the noise of the paired folds."""
    return comparison.mean_gain > max(0.0, minimum_standard_errors * comparison.standard_error)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p values for their number (Holm, Scandinavian Journal of Statistics 6, 1979); same order, at most 1."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return tuple(float(value) for value in adjusted)


def interval_of_next(
    centre: float, block_scores: Sequence[float], metric: Metric, noise: float = 0.0
) -> Interval | None:
    """95 % prediction interval around `centre` of the score on new rows, about as many as a block has; None with fewer than two.

    A block is a fold, or a period where time orders the rows. As wide as the scores of known blocks `(k,)` differ from each
    other: `t(k − 1) · s · sqrt(1 + 1/k)`. The next block is one draw more, not the mean of many, so an interval of the mean is too
    narrow for it. Never beyond the metric's best value.

    Parameters
    ----------
    noise : float
        Standard deviation that the draw of a block's rows alone gives its score, a floor of `s`: a few blocks are alike by chance
        now and then, and the next one is no nearer to them than its rows allow. With it the interval holds more often than 95 %.
    """
    scores = _checked(block_scores)
    k = len(scores)
    if k < 2:
        return None
    seen = float(stdtrit(k - 1, 0.5 + _CONFIDENCE / 2) * scores.std(ddof=1))
    reach = max(seen, float(ndtri(0.5 + _CONFIDENCE / 2)) * noise) * float(np.sqrt(1.0 + 1.0 / k))
    return _possible(centre, centre - reach, centre + reach, metric)


def interval_of_sample(score: float, resampled: Sequence[float], metric: Metric) -> Interval:
    """95 % prediction interval around `score` of the score on as many new rows, from scores of bootstrap samples of these rows.

    Their percentiles say how far the score is from the truth; the new rows are as far from it again, on either side.
    """
    low, high = np.percentile(_checked(resampled), [50 - 50 * _CONFIDENCE, 50 + 50 * _CONFIDENCE])
    below, above = max(0.0, score - float(low)), max(0.0, float(high) - score)
    return _possible(score, score - np.sqrt(2.0) * below, score + np.sqrt(2.0) * above, metric)


def _possible(centre: float, low: float, high: float, metric: Metric) -> Interval:
    """Cut an interval at the metric's best value."""
    if metric.greater_is_better:
        return float(low), float(min(high, max(1.0, centre)))
    return float(max(low, min(0.0, centre))), float(high)


def _checked(scores: Sequence[float]) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"expected finite scores, one per fold, got {scores!r:.200}")
    return values
