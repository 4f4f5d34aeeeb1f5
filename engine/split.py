"""Which split a dataset gets, decided from the data with the reason in words, and which rows are sealed.

In this order: what the user names; a date column over which the data drift; an id that repeats and whose rows are alike; row order
that carries time (a row counter or a regular cycle, and a target that depends on the row before); else stratified or plain.
A file that is merely sorted, by its target or by place, is shuffled, whether or not a counter stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from .dataset import NEVER, Dataset
from .dependence import drift_over, likeness_within, order_dependence, repeats_regularly, sorted_by_target
from .errors import InvalidInput
from .folds import Split, SplitKind, hold_out
from .names import identifies, names_entity, time_name
from .roles import Role
from .target import find_column
from .task import CLASSIFICATION, TaskKind

_MIN_ROWS = 50
_MIN_PARTS = 3
"""Groups or points in time that must be left for the search once some are sealed; fewer make no two honest folds."""
_HOLDOUT_FROM = 2_000
_LARGE = 20_000
_MAX_HOLDOUT = 10_000

_BIRTH = re.compile(r"birth|dob\b|born", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    kind: SplitKind
    reason: str
    column: str | None = None
    groups: np.ndarray | None = None
    order: np.ndarray | None = None


def choose_split(
    dataset: Dataset,
    kind: TaskKind,
    holdout: Literal["auto", "none"] | float = "auto",
    seed: int = 0,
    time_column: str | None = None,
    group_column: str | None = None,
) -> Split:
    """Choose how the dataset is divided and seal the holdout; deterministic in the data and the seed.

    Parameters
    ----------
    holdout : "auto", "none" or float
        Share of rows to seal, below 0.5. Auto: 20 % from 2,000 rows, 10 % from 20,000, at most 10,000 rows (time: or 5 %).
    time_column, group_column : str, optional
        Columns to follow whatever the data say; a time column goes before a group column. Without them, columns that were
        opened in the TIME or GROUP role are followed. `none`: rows are not split by time, or by groups, whatever the data say.

    Raises
    ------
    InvalidInput
        A column is not in the table, has too few groups (two) or points in time (three) for two folds, or the holdout is out
        of range.
    """
    by_time, by_group = time_column != NEVER, group_column != NEVER
    time_column = time_column or _with_role(dataset, Role.TIME) if by_time else None
    group_column = group_column or _with_role(dataset, Role.GROUP) if by_group else None
    if time_column is not None:
        rule = _asked_time(dataset, time_column)
        if group_column is not None:
            rule = replace(rule, reason=f"{rule.reason}; time goes before the groups of {group_column}")
    elif group_column is not None:
        rule = _asked_group(dataset, group_column)
    else:
        return _infer(dataset, kind, holdout, seed, by_time, by_group)
    return _seal(dataset, rule, kind, holdout, seed)


def _infer(
    dataset: Dataset, kind: TaskKind, holdout: Literal["auto", "none"] | float, seed: int, by_time: bool, by_group: bool
) -> Split:
    looks = [_dates] * by_time + [_ids] * by_group + [_row_order] * by_time
    found = "no date column with drift, no repeating id and no time in the row order"
    why = found if by_time and by_group else "time and groups that were not ruled out show nothing"
    if dataset.n_rows >= _MIN_ROWS:
        for look in looks:
            if (rule := look(dataset, kind, seed)) is None or not _gives_two_folds(rule):
                continue
            split = _seal(dataset, rule, kind, holdout, seed)
            if split.tells_classes_apart:
                return split
            why = f"{rule.reason}; but of such folds fewer than two would hold both classes"
    if kind in CLASSIFICATION:
        rule = _Rule("stratified", f"{why}; every fold keeps the class shares")
    else:
        rule = _Rule("plain", f"{why}; rows are shuffled")
    return _seal(dataset, rule, kind, holdout, seed)


def _dates(dataset: Dataset, kind: TaskKind, seed: int) -> _Rule | None:
    found = []
    for column in dataset.table.columns(Role.DATETIME):
        times = dataset.frame[column]
        if _BIRTH.search(column) or times.notna().mean() < 0.95 or times.nunique() < 5:
            continue
        drift = drift_over(dataset, kind, column, seed)
        if drift.matters:
            in_order = bool(times.dropna().is_monotonic_increasing)
            found.append((in_order, drift.target + sum(drift.features.values()), column, drift))
    if not found:
        return None
    _, _, column, drift = max(found, key=lambda item: item[:2])
    moving = sorted(drift.features, key=lambda name: -drift.features[name])[:3]
    parts = [f"the target ({drift.target:.0%} of its variance)"] if drift.target >= 0.01 else []
    reason = f"{' and '.join([*parts, *([', '.join(moving)] if moving else [])])} drift over {column}: validate on later rows"
    return _Rule("time", reason, column, order=_time_ranks(dataset.frame[column]))


def _ids(dataset: Dataset, kind: TaskKind, seed: int) -> _Rule | None:
    best: tuple[float, _Rule] | None = None
    for column in dataset.frame.columns:
        entity = names_entity(column)
        if not (entity or identifies(column)) or dataset.feature_roles[column] not in (
            Role.ID,
            Role.CATEGORICAL,
            Role.NUMERIC,
        ):
            continue
        groups = _group_codes(dataset.frame[column])
        sizes = np.bincount(groups)
        shared = float(sizes[sizes > 1].sum() / len(groups))
        # A code list such as department_id has few levels; people and devices may be few, too.
        if len(sizes) < (10 if entity else 50) or shared < 0.1 or sizes.max() > 0.2 * len(groups):
            continue
        if dataset.feature_roles[column] == Role.NUMERIC and not _whole(dataset.frame[column]):
            continue
        likeness = likeness_within(dataset, kind, column, groups, seed)
        if not likeness.matters:
            continue
        alike = (
            f"targets correlate by {likeness.target:.2f}"
            if likeness.target >= 0.05
            else f"{likeness.feature_name} correlates by {likeness.feature:.2f}"
        )
        reason = f"{column} repeats ({shared:.0%} of rows share one) and within it {alike}: validate on unseen ones"
        if best is None or shared > best[0]:
            best = shared, _Rule("group", reason, column, groups=groups)
    return best[1] if best else None


def _row_order(dataset: Dataset, kind: TaskKind, seed: int) -> _Rule | None:
    sign = next(
        filter(None, (_counter(dataset, name) or _cycle(dataset, name) for name in dataset.frame.columns)), None
    )
    if sign is None or sorted_by_target(dataset.y, kind):
        return None
    correlation = order_dependence(dataset.y, kind, seed, _places(dataset))
    if correlation < 0.1:
        return None
    reason = (
        f"{sign}, and the target correlates by {correlation:.2f} with the row before: "
        "rows are in time order, validate on later ones"
    )
    return _Rule("time", reason, order=np.arange(dataset.n_rows, dtype=np.int64))


def _places(dataset: Dataset) -> Iterator[np.ndarray]:
    """Columns (n_rows,) that a file may be sorted by, as codes: all but ids, dates and parts of dates."""
    for name in dataset.frame.columns:
        role = dataset.feature_roles[name]
        if role in (Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL) and not time_name(name):
            yield pd.factorize(dataset.frame[name])[0]


def _counter(dataset: Dataset, name: str) -> str | None:
    if dataset.feature_roles[name] != Role.ID or name.startswith("Unnamed"):
        return None
    counted = pd.to_numeric(dataset.frame[name].astype("str"), errors="coerce").to_numpy(dtype=np.float64)
    return f"{name} counts the rows" if np.isfinite(counted).all() and (np.diff(counted) > 0).all() else None


def _cycle(dataset: Dataset, name: str) -> str | None:
    if dataset.feature_roles[name] != Role.NUMERIC:
        return None
    period = repeats_regularly(dataset.frame[name].to_numpy(dtype=np.float64))
    return f"{name} repeats every {period} rows" if period else None


def _asked_time(dataset: Dataset, column: str) -> _Rule:
    column = find_column(dataset.frame, column, "time column")
    values = dataset.frame[column]
    if dataset.feature_roles[column] == Role.ID:
        values = pd.to_numeric(values.astype("str"), errors="coerce")
    if dataset.feature_roles[column] in (Role.CATEGORICAL, Role.TEXT, Role.CONSTANT) or values.nunique() < 2:
        raise InvalidInput(f"expected dates or numbers that grow with time in {column!r}; write dates as 2024-12-31")
    rule = _Rule("time", f"time column {column}, as asked: validate on later rows", column, order=_time_ranks(values))
    if not _gives_two_folds(rule):
        raise InvalidInput(
            f"expected three points in time or more in {column!r}, got {_n_parts(rule)}; choose a finer time column or none"
        )
    return rule


def _asked_group(dataset: Dataset, column: str) -> _Rule:
    column = find_column(dataset.frame, column, "group column")
    groups = _group_codes(dataset.frame[column])
    rule = _Rule("group", f"group column {column}, as asked: validate on unseen groups", column, groups=groups)
    if not _gives_two_folds(rule):
        raise InvalidInput(f"expected two groups or more in {column!r}, got one; choose another group column")
    return rule


def _n_parts(rule: _Rule, rows: np.ndarray | None = None) -> int:
    """Groups or points in time that the rule tells apart among the rows."""
    codes = rule.groups if rule.groups is not None else rule.order
    assert codes is not None
    return len(pd.unique(codes if rows is None else codes[rows]))


def _gives_two_folds(rule: _Rule) -> bool:
    return rule.kind not in ("group", "time") or _n_parts(rule) >= (2 if rule.kind == "group" else 3)


def _fraction(n_rows: int, kind: SplitKind, holdout: Literal["auto", "none"] | float) -> float:
    if holdout == "none":
        return 0.0
    if holdout != "auto":
        if not (isinstance(holdout, int | float) and 0.0 <= float(holdout) < 0.5):
            raise InvalidInput(f"expected a holdout of auto, none or a share from 0 to below 0.5, got {holdout!r}")
        return float(holdout)
    if n_rows < _HOLDOUT_FROM:
        return 0.0
    share = 0.2 if n_rows < _LARGE else 0.1
    cap = _MAX_HOLDOUT / n_rows
    # Many rows may share few points in time, so that a fixed number of rows could be a single week.
    return min(share, max(cap, 0.05) if kind == "time" else cap)


def _seal(dataset: Dataset, rule: _Rule, kind: TaskKind, holdout: Literal["auto", "none"] | float, seed: int) -> Split:
    strata = dataset.y.astype(np.int64) if kind in CLASSIFICATION else None
    fraction = _fraction(dataset.n_rows, rule.kind, holdout)
    everything = np.arange(dataset.n_rows, dtype=np.int64)
    if rule.order is not None:
        everything = np.argsort(rule.order, kind="stable")
    kept, sealed, reason = everything, everything[:0], rule.reason
    if fraction > 0.0:
        inside, outside = hold_out(rule.kind, everything, fraction, seed, rule.groups, rule.order, strata)
        if rule.kind in ("group", "time") and _n_parts(rule, everything[inside]) < _MIN_PARTS:
            parts = "groups" if rule.kind == "group" else "points in time"
            reason = f"{reason}; nothing is sealed, because {_n_parts(rule)} {parts} are too few to set some aside"
        else:
            kept, sealed = everything[inside], everything[outside]
    return Split(
        kind=rule.kind,
        reason=reason,
        development=kept,
        holdout=sealed,
        groups=rule.groups,
        order=rule.order,
        strata=strata,
        seed=seed,
        column=rule.column,
    )


def _with_role(dataset: Dataset, role: Role) -> str | None:
    return next((name for name, found in dataset.roles.items() if found == role), None)


def _time_ranks(times: pd.Series) -> np.ndarray:
    """Dense ranks (n_rows,); unknown times come first, where they cannot reach into the future."""
    ranks = times.rank(method="dense").fillna(0.0).to_numpy()
    return ranks.astype(np.int64)


def _group_codes(values: pd.Series) -> np.ndarray:
    """Codes (n_rows,) from 0; a missing id is a group of its own in each row."""
    codes, _ = pd.factorize(values)
    unknown = np.flatnonzero(codes < 0)
    codes[unknown] = codes.max() + 1 + np.arange(len(unknown))
    return codes.astype(np.int64)


def _whole(values: pd.Series) -> bool:
    known = values.dropna()
    return bool((known == np.floor(known)).all())
