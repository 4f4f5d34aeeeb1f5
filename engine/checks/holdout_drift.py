"""Finds columns whose values differ between development and sealed rows. Looks at features only, never at sealed targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import as_numbers, columns_seen, sample
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable
from ..roles import Role

_ROWS = 10_000
_MIN_ROWS = 100
_BINS = 10
_COLUMNS = 300
_SHIFT = 0.2
_NOISE = 3.0


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    split, dataset = experiment.split, experiment.dataset
    if min(len(split.holdout), len(split.development)) < _MIN_ROWS:
        return NotApplicable("there is no sealed holdout of at least 100 rows")
    before = sample(split.development, _ROWS, experiment.seed)
    after = sample(split.holdout, _ROWS, experiment.seed)
    found = []
    for name in columns_seen(experiment)[:_COLUMNS]:
        if split.kind == "time" and dataset.feature_roles[name] is Role.DATETIME:
            # Dates move on by design there.
            continue
        series = dataset.frame[name]
        old, new = as_numbers(series.iloc[before]), as_numbers(series.iloc[after])
        index, bins = stability_index(old, new, dataset.feature_roles[name] is Role.CATEGORICAL)
        # Two samples of one population differ too: about this much in expectation.
        chance = (bins - 1) * (1 / len(old) + 1 / len(new))
        if index > _SHIFT + _NOISE * chance:
            found.append((index, name))
    return [
        Finding(
            CHECK.code,
            "info",
            f"{name} differs in the sealed rows",
            f"population stability index {index:.2f} between {len(before):,} development and {len(after):,} sealed rows",
            "expect the holdout to score differently; ask what changed about this column",
        )
        for index, name in sorted(found, reverse=True)[:10]
    ]


def stability_index(old: np.ndarray, new: np.ndarray, is_category: bool) -> tuple[float, int]:
    """Population stability index between two samples of a column (values with NaN for missing), and the bins used."""
    if is_category:
        levels = _largest(old)
        counts = [np.array([*(np.sum(part == level) for level in levels), 0.0]) for part in (old, new)]
        for part, count in zip((old, new), counts, strict=True):
            count[-1] = len(part) - count.sum()
    else:
        edges = (
            np.unique(np.nanquantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
            if (~np.isnan(old)).any()
            else np.empty(0)
        )
        counts = [
            np.bincount(
                np.where(np.isnan(part), len(edges) + 1, np.searchsorted(edges, part)), minlength=len(edges) + 2
            )
            for part in (old, new)
        ]
    shares = [(count + 0.5) / (count.sum() + 0.5 * len(count)) for count in counts]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()), len(counts[0])


def _largest(values: np.ndarray) -> np.ndarray:
    """The most frequent levels; rarer ones share a bin."""
    levels, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return levels[np.argsort(-counts, kind="stable")[: 2 * _BINS]]


CHECK = Check(
    "HOLDOUT_DRIFT", "Drift into the holdout", "Population stability index of every column, sealed rows against the rest.",
    "data", _run,
)  # fmt: skip
