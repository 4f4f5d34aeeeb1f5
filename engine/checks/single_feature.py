"""Finds columns that predict the target almost perfectly by themselves, which real causes rarely do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..checking import NO_TIME, as_numbers, columns_seen, sample
from ..experiment import Experiment
from ..leakage import copies_target, single_column_skill
from ..plugins import Check, Finding, NotApplicable, Severity
from ..roles import Role

_ROWS = 3_000
_MIN_ROWS = 60
_FOLDS = 3
_COLUMNS = 150
_SECONDS = 5.0
_SHARE = 0.25
_CRITICAL = 0.99
_WARNING = 0.95


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    if len(experiment.split.development) < _MIN_ROWS:
        return NotApplicable(f"fewer than {_MIN_ROWS} development rows")
    dataset, task = experiment.dataset, experiment.task
    rows = sample(experiment.split.development, _ROWS, experiment.seed)
    folds = experiment.split.folds(_FOLDS, rows=rows)
    clock = experiment.deadline.at_most(max(_SECONDS, _SHARE * experiment.deadline.remaining()))
    columns = _most_related(dataset.frame, columns_seen(experiment), rows, dataset.y)
    found: list[Finding] = []
    for name in columns:
        if clock.passed:
            # What was not looked at is not clean; a leak that was found stands.
            critical = any(finding.severity == "critical" for finding in found)
            return found if critical else NotApplicable(NO_TIME)
        values = as_numbers(dataset.frame[name])
        if copies_target(values[rows], dataset.y[rows], task.kind, len(task.classes)):
            continue
        is_category = dataset.feature_roles[name] is Role.CATEGORICAL
        skill = single_column_skill(values, is_category, dataset.y, folds, task.kind, len(task.classes))
        if skill >= _WARNING:
            found.append(_finding(name, skill, len(rows)))
    return found


def _finding(name: str, skill: float, n_rows: int) -> Finding:
    severity: Severity = "critical" if skill >= _CRITICAL else "warning"
    return Finding(
        CHECK.code,
        severity,
        f"{name} predicts the target almost alone",
        f"skill {skill:.3f} of 1 (0: constant guess) cross-validated with this column only, on {n_rows:,} development rows",
        f"find out when {name} is recorded; leave it out (id_columns) if it is known only after the outcome",
    )


def _most_related(frame: pd.DataFrame, names: list[str], rows: np.ndarray, y: np.ndarray) -> list[str]:
    """All columns of an ordinary table; of a very wide one those with the strongest rank correlation."""
    if len(names) <= _COLUMNS:
        return names
    ranks = pd.DataFrame({name: as_numbers(frame[name].iloc[rows]) for name in names}).rank().fillna(0.0)
    target = pd.Series(y[rows]).rank().to_numpy()
    centred = ranks.to_numpy() - ranks.to_numpy().mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    strength = np.abs(centred.T @ (target - target.mean())) / np.where(spread > 0, spread, np.inf)
    return [names[place] for place in np.argsort(-strength, kind="stable")[:_COLUMNS]]


CHECK = Check(
    "LEAK_SINGLE_FEATURE",
    "Near-perfect single columns",
    "Cross-validated skill of each column alone; in very wide tables of the 150 most related columns.",
    "data",
    _run,
)
