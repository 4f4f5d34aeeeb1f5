"""What is in a dataset, in numbers: its `DataShape` and a compact, JSON-ready profile.

What tells about the target (associations, summaries) is computed on development rows only, so that the holdout stays sealed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .dataset import Dataset
from .folds import Split
from .roles import FEATURE_ROLES, Role
from .shape import DataShape
from .task import CLASSIFICATION, TaskKind

_ASSOCIATION_ROWS = 5_000
_SHOWN = 10
_MANY_LEVELS = 50
_BINS = 10
_NEAR_CONSTANT = 0.99


def shape_of(dataset: Dataset, split: Split, kind: TaskKind) -> DataShape:
    """Return the few numbers that defaults and search spaces depend on; the target's come from development rows."""
    roles = list(dataset.feature_roles.values())
    categorical = dataset.table.columns(Role.CATEGORICAL)
    features = dataset.table.columns(*FEATURE_ROLES)
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
        n_id=roles.count(Role.ID),
        max_levels=max((len(dataset.frame[name].cat.categories) for name in categorical), default=0),
        missing_share=float(np.mean([dataset.frame[name].isna().mean() for name in features])) if features else 0.0,
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
    missing = {name: float(dataset.frame[name].isna().mean()) for name in dataset.frame.columns}
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
        "associations": _associations(dataset, kind, split),
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
    mixed = np.zeros(dataset.n_rows, dtype=np.uint64)
    for name in names:
        column = dataset.frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.codes
        hashed: np.ndarray = pd.util.hash_pandas_object(column, index=False).to_numpy()
        mixed = mixed * np.uint64(1_000_003) + hashed
    return 1.0 - len(pd.unique(mixed)) / dataset.n_rows


def _near_constant(dataset: Dataset) -> list[str]:
    found = []
    for name in dataset.table.columns(Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL):
        column = dataset.frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            counts = np.bincount(column.cat.codes.to_numpy() + 1)
            share = counts.max() / len(column)
        else:
            values = column.to_numpy(dtype=np.float64)
            # A value held by nearly all rows is the median.
            share = float((values == np.nanmedian(values)).mean()) if not np.isnan(values).all() else 1.0
        if share >= _NEAR_CONSTANT:
            found.append(name)
    return found


def _associations(dataset: Dataset, kind: TaskKind, split: Split) -> list[dict[str, Any]]:
    """Features that tell most about the target alone: correlation ratio of the target over bins or levels, 0 to 1."""
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
    for name in dataset.table.columns(Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL, Role.DATETIME):
        codes = _binned(dataset.frame[name].iloc[rows])
        scores.append((_explained(codes, targets, total), name))
    scores.sort(key=lambda item: (-item[0], item[1]))
    return [{"column": name, "explained": _round(score)} for score, name in scores[:_SHOWN]]


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
