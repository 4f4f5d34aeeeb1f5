"""Facts about a run's table that cards make conditions on, read from what the run recorded when it was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FEATURES: dict[str, str] = {
    "numeric": "numeric columns",
    "categorical": "categorical columns",
    "boolean": "yes/no columns",
    "datetime": "date columns",
    "text": "text columns",
    "id": "id columns",
    "missing": "missing values",
    "skewed_target": "a skewed target",
    "imbalanced": "a rare class",
    "time": "rows ordered in time",
    "group": "groups of rows that belong together",
    "duplicates": "duplicate rows",
    "many_levels": "a category of many levels",
}
"""What `has` and `lacks` of a card may name, with the words for a reader."""

_SKEWED = 1.0
_RARE = 0.2
_DUPLICATES = 0.01
_MANY_LEVELS = 30


@dataclass(frozen=True)
class Facts:
    """What a table is like: sizes, shares (0 to 1) and features (see `FEATURES`)."""

    kind: str
    n_rows: int
    n_columns: int
    n_numeric: int
    max_levels: int
    n_classes: int
    missing_share: float
    target_min: float
    features: frozenset[str]


def facts_of(recorded: Mapping[str, Any]) -> Facts:
    """Read the facts from a run's journal entry of kind `profile`."""
    shape, split = recorded["shape"], recorded["split"]
    counts = {role: shape[f"n_{role}"] for role in ("numeric", "categorical", "boolean", "datetime", "text")}
    present = {
        **{role: count > 0 for role, count in counts.items()},
        "id": shape["n_id"] > 0,
        "missing": shape["missing_share"] > 0.0,
        "skewed_target": shape["target_skew"] > _SKEWED,
        "imbalanced": shape["minority_share"] < _RARE,
        "time": split["kind"] == "time",
        "group": split["kind"] == "group",
        "duplicates": recorded["profile"].get("duplicate_rows_share", 0.0) > _DUPLICATES,
        "many_levels": shape["max_levels"] > _MANY_LEVELS,
    }
    return Facts(
        kind=shape["kind"],
        n_rows=shape["n_rows"],
        n_columns=sum(counts.values()),
        n_numeric=shape["n_numeric"],
        max_levels=shape["max_levels"],
        n_classes=shape["n_classes"],
        missing_share=shape["missing_share"],
        target_min=shape["target_min"],
        features=frozenset(name for name, holds in present.items() if holds),
    )
