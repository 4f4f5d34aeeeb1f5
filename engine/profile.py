"""What is in a dataset, in numbers: its `DataShape` and a compact, JSON-ready profile.

What tells about the target (associations, summaries) is computed on development rows only, so that the holdout stays sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .dataset import Dataset
from .dependence import sorted_by_target
from .folds import Split
from .roles import FEATURE_ROLES, Role
from .shape import DataShape
from .task import CLASSIFICATION, TaskKind

_ASSOCIATION_ROWS = 5_000
_SHOWN = 10
_MANY_LEVELS = 50
_BINS = 10
_NEAR_CONSTANT = 0.99
_RANKED = 300
"""Numeric columns whose association is measured; of more, those with the strongest linear correlation."""
_TOGETHER = 256
"""Numeric columns that are looked at in one go."""


def shape_of(dataset: Dataset, split: Split, kind: TaskKind) -> DataShape:
    """Return the few numbers that defaults and search spaces depend on; the target's come from development rows."""
    roles = list(dataset.feature_roles.values())
    categorical = dataset.table.columns(Role.CATEGORICAL)
    features = dataset.table.columns(*FEATURE_ROLES)
    missing = _missing_shares(dataset)
    y = dataset.y[split.development]
    classify = kind in CLASSIFICATION
    counts = np.bincount(y.astype(np.int64), minlength=len(dataset.classes)) if classify else np.zeros(0)
    present = counts[counts > 0]
    return DataShape(
        kind=kind,
        n_rows=len(split.development),
        n_numeric=roles.count(Role.NUMERIC),
        n_categorical=len(categorical),
        n_boolean=roles.count(Role.BOOLEAN),
        n_datetime=roles.count(Role.DATETIME),
        n_text=roles.count(Role.TEXT),
        # Beside a target that the file is sorted by, a counter of rows is the target in other words.
        n_id=0 if sorted_by_target(dataset.y, kind) else roles.count(Role.ID),
        max_levels=max((len(dataset.frame[name].cat.categories) for name in categorical), default=0),
        missing_share=float(np.mean([missing[name] for name in features])) if features else 0.0,
        n_classes=len(dataset.classes),
        minority_share=float(present.min() / len(y)) if classify else 1.0,
        target_skew=0.0 if classify else _skew(y),
        target_min=0.0 if classify else float(y.min()),
    )


def profile(dataset: Dataset, kind: TaskKind, split: Split) -> dict[str, Any]:
    """Describe the dataset; every value is JSON-ready and the whole stays compact whatever the number of columns."""
    by_role: dict[str, list[str]] = {}
    for name, role in dataset.feature_roles.items():
        by_role.setdefault(role.value, []).append(name)
    missing = _missing_shares(dataset)
    holed = sorted((name for name in missing if missing[name] > 0.0), key=lambda name: -missing[name])
    y = dataset.y[split.development]
    return {
        "rows": dataset.n_rows,
        "columns": {role: len(names) for role, names in by_role.items()},
        "columns_by_role": {role: names[: _SHOWN * 3] for role, names in by_role.items()},
        "missing": {
            "columns": len(holed),
            "cells_share": _round(float(np.mean(list(missing.values()))) if missing else 0.0),
            "most": {name: _round(missing[name]) for name in holed[:_SHOWN]},
        },
        "target": _target_summary(dataset, kind, y),
        "duplicate_rows_share": _round(_duplicate_share(dataset)),
        "near_constant": _near_constant(dataset)[:_SHOWN],
        "many_levels": {
            name: len(dataset.frame[name].cat.categories)
            for name in dataset.table.columns(Role.CATEGORICAL)
            if len(dataset.frame[name].cat.categories) > _MANY_LEVELS
        },
        **_associations(dataset, kind, split),
        "issues": [issue.message for issue in dataset.issues[: _SHOWN * 2]],
        "issue_count": len(dataset.issues),
        "split": {
            "kind": split.kind,
            "column": split.column,
            "reason": split.reason,
            "development_rows": len(split.development),
            "holdout_rows": len(split.holdout),
        },
        "fingerprint": dataset.fingerprint,
    }


def _target_summary(dataset: Dataset, kind: TaskKind, y: np.ndarray) -> dict[str, Any]:
    summary: dict[str, Any] = {"name": dataset.target, "task": kind}
    if kind in CLASSIFICATION:
        counts = np.bincount(y.astype(np.int64), minlength=len(dataset.classes))
        largest = np.argsort(-counts, kind="stable")[: _SHOWN * 2]
        summary["n_classes"] = len(dataset.classes)
        summary["class_shares"] = {dataset.classes[code]: _round(counts[code] / len(y)) for code in largest}
        return summary
    quantiles = np.quantile(y, [0.0, 0.25, 0.5, 0.75, 1.0])
    summary.update(zip(("min", "q25", "median", "q75", "max"), map(_round, quantiles), strict=True))
    summary.update(mean=_round(y.mean()), std=_round(y.std()), skew=_round(_skew(y)))
    return summary


def _duplicate_share(dataset: Dataset) -> float:
    """Share of rows whose features, ids aside, stood in an earlier row."""
    names = dataset.table.columns(*FEATURE_ROLES)
    if not names:
        return 0.0
    mixed: np.ndarray = np.zeros(dataset.n_rows, dtype=np.uint64)
    numeric = [name for name in names if dataset.feature_roles[name] in (Role.NUMERIC, Role.BOOLEAN)]
    for _, values in _numeric_blocks(dataset, numeric):
        hashes: np.ndarray = pd.util.hash_array(values.ravel(order="F"))
        for hashed in hashes.reshape(values.shape[1], -1):
            mixed = mixed * np.uint64(1_000_003) + hashed
    for name in dataset.table.columns(*FEATURE_ROLES - {Role.NUMERIC, Role.BOOLEAN}):
        column = dataset.frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.codes
        mixed = mixed * np.uint64(1_000_003) + pd.util.hash_pandas_object(column, index=False).to_numpy()
    return 1.0 - len(pd.unique(mixed)) / dataset.n_rows


def _near_constant(dataset: Dataset) -> list[str]:
    found: set[str] = set()
    for names, values in _numeric_blocks(dataset, dataset.table.columns(Role.NUMERIC, Role.BOOLEAN)):
        # A value held by nearly all rows stands in the middle of the sorted ones, with the missing at the end.
        middle = np.partition(values, dataset.n_rows // 2, axis=0)[dataset.n_rows // 2]
        share = np.maximum((values == middle).mean(axis=0), np.isnan(values).all(axis=0))
        found.update(name for name, part in zip(names, share, strict=True) if part >= _NEAR_CONSTANT)
    for name in dataset.table.columns(Role.CATEGORICAL):
        counts = np.bincount(dataset.frame[name].cat.codes.to_numpy() + 1)
        if counts.max() / dataset.n_rows >= _NEAR_CONSTANT:
            found.add(name)
    return [name for name in dataset.frame.columns if name in found]


def _missing_shares(dataset: Dataset) -> dict[str, float]:
    return {str(name): float(share) for name, share in dataset.frame.isna().mean().items()}


def _numeric_blocks(
    dataset: Dataset, names: list[str], rows: np.ndarray | None = None
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Some numeric columns at a time, as (names, values (n_rows, n_names)): thousands of series would take seconds."""
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        values: np.ndarray = dataset.frame[some].to_numpy(dtype=np.float64)
        yield some, values if rows is None else values[rows]


def _associations(dataset: Dataset, kind: TaskKind, split: Split) -> dict[str, Any]:
    """Features that tell most about the target alone: correlation ratio of the target over bins or levels, 0 to 1.

    Of more than a few hundred numeric columns only those most correlated are measured; `associations_limit` then says so.
    """
    rows = split.development
    if len(rows) > _ASSOCIATION_ROWS:
        rows = np.sort(np.random.default_rng(split.seed).choice(rows, _ASSOCIATION_ROWS, replace=False))
    y = dataset.y[rows]
    if kind == "regression":
        targets = pd.Series(y).rank().to_numpy()[:, None]
    else:
        top = np.argsort(-np.bincount(y.astype(np.int64)), kind="stable")[:_SHOWN]
        targets = (y[:, None] == top[None, :]).astype(np.float64)
    targets = targets - targets.mean(axis=0)
    total = float((targets**2).sum())
    scores = []
    numeric = dataset.table.columns(Role.NUMERIC, Role.BOOLEAN)
    kept = numeric if len(numeric) <= _RANKED else _most_correlated(dataset, numeric, rows, targets)
    for name in [*kept, *dataset.table.columns(Role.CATEGORICAL, Role.DATETIME)]:
        codes = _binned(dataset.frame[name].iloc[rows])
        scores.append((_explained(codes, targets, total), name))
    scores.sort(key=lambda item: (-item[0], item[1]))
    found: dict[str, Any] = {
        "associations": [{"column": name, "explained": _round(score)} for score, name in scores[:_SHOWN]]
    }
    if len(kept) < len(numeric):
        found["associations_limit"] = (
            f"of {len(numeric)} numeric columns, the {len(kept)} most correlated with the target were measured"
        )
    return found


def _most_correlated(dataset: Dataset, names: list[str], rows: np.ndarray, targets: np.ndarray) -> list[str]:
    """Names of the columns with the largest absolute linear correlation with any of the centred targets (n_rows, n_targets)."""
    strength: list[np.ndarray] = []
    scaled = targets / np.maximum(np.sqrt((targets**2).sum(axis=0)), 1e-300)
    for _, values in _numeric_blocks(dataset, names, rows):
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0)
        # Largest value 1, so that squares of huge numbers stay finite.
        filled /= np.maximum(np.abs(filled).max(axis=0), 1e-300)
        centred = np.where(known, filled - filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
        spread = np.sqrt((centred**2).sum(axis=0))
        strength.append(np.abs(centred.T @ scaled).max(axis=1) / np.where(spread > 1e-12, spread, np.inf))
    strongest = np.sort(np.argsort(-np.concatenate(strength), kind="stable")[:_RANKED])
    return [names[place] for place in strongest]


def _binned(column: pd.Series) -> np.ndarray:
    """Codes of levels or of equal-frequency bins; missing values are code 0."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64) + 1
    ranks = column.rank(method="average", pct=True).to_numpy()
    codes: np.ndarray = np.where(np.isnan(ranks), 0, np.ceil(np.nan_to_num(ranks) * _BINS)).astype(np.int64)
    return codes


def _explained(codes: np.ndarray, targets: np.ndarray, total: float) -> float:
    """Share of the target's variance between the codes, less what as many random codes would show."""
    counts = np.bincount(codes)
    used = counts > 0
    between = sum(float((np.bincount(codes, weights=column)[used] ** 2 / counts[used]).sum()) for column in targets.T)
    n_rows, n_codes = len(codes), int(used.sum())
    if total <= 0.0 or n_codes < 2 or n_codes >= n_rows:
        return 0.0
    chance = (n_codes - 1) / (n_rows - 1)
    return max(0.0, (between / total - chance) / (1.0 - chance))


def _skew(y: np.ndarray) -> float:
    spread = float(y.std())
    return float((((y - y.mean()) / spread) ** 3).mean()) if spread > 0.0 else 0.0


def _round(value: float) -> float:
    """Four significant digits: enough for a reader, small in a report."""
    return float(f"{float(value):.4g}")
