"""The target: which task it is, its clean values or class codes, and the rows that have one."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import pandas as pd

from .cells import Cells, cells_of
from .errors import InvalidInput
from .issue import Issue
from .levels import level_order
from .names import tidy_name
from .numerals import looks_numeric, read_numerals
from .task import CLASSIFICATION, TaskKind

_MAX_INTEGER_CLASSES = 20
_ROWS_PER_CLASS = 5
_USUAL_FOLDS = 5
_NEGATIVE = frozenset({"no", "n", "false", "f", "negative", "neg", "off", "none", "normal", "absent"})
_POSITIVE = frozenset({"yes", "y", "true", "t", "positive", "pos", "on", "abnormal", "present"})
"""Words (lower case) that say which one of two labels is the positive one."""
_MISSING_LABELS_AT_MOST = 0.05
"""Share of the rows up to which words beside numeric labels mean that the label is missing; of more, they are a label."""


@dataclass(frozen=True)
class CleanTarget:
    """A target ready to learn from.

    Attributes
    ----------
    kind : TaskKind
    reason : str
        Why this task, in words.
    y : ndarray (n_kept,)
        float64 values, or int64 codes into `classes`.
    classes : tuple of str
        Labels as written in the file, sorted (by value when they are numbers); of two the positive one comes last (see
        `_positive_last`). Empty for regression.
    keep : ndarray (n_rows,) bool
        Rows with a known target.
    """

    kind: TaskKind
    reason: str
    y: np.ndarray
    classes: tuple[str, ...]
    keep: np.ndarray
    issues: tuple[Issue, ...]


def find_column(frame: pd.DataFrame, name: str, what: str) -> str:
    """Return the column's name; raises `InvalidInput` with the nearest names if there is none."""
    names = [str(column) for column in frame.columns]
    if (asked := tidy_name(name)) in names:
        return asked
    lowered = {column.lower(): column for column in reversed(names)}
    near = [lowered[item] for item in get_close_matches(asked.lower(), lowered, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"columns: {', '.join(names[:12])}"
    raise InvalidInput(f"expected the {what} among the table's {len(names)} columns, got {name[:60]!r}; {hint}")


def clean_target(column: pd.Series, task: Literal["auto"] | TaskKind = "auto") -> CleanTarget:
    """Decide the task and clean the target; raises `InvalidInput` for a target nothing can be learnt from."""
    name = str(column.name)
    cells = cells_of(column)
    words, codes = cells.distinct
    n_known = int((codes >= 0).sum())
    if n_known == 0:
        raise InvalidInput(f"expected a target with values, every cell of {name!r} is missing; choose another column")
    if len(words) == 1:
        raise InvalidInput(
            f"expected a target that varies, {name!r} is always {str(words.iat[0])[:40]!r}; choose another column"
        )
    kind, reason = _infer(cells, name) if task == "auto" else (task, "as asked")
    if kind in CLASSIFICATION:
        return _labels(name, kind, reason, cells, asked=task != "auto")
    return _values(name, reason, cells)


def check_metric(metric_key: str, kind: TaskKind, y: np.ndarray) -> None:
    """Refuse a metric that has no value on this target.

    Parameters
    ----------
    metric_key : str
        Key of a metric that fits the task.
    y : ndarray (n_rows,)
        Cleaned target: values, or class codes, on which every metric of a classification is defined.

    Raises
    ------
    InvalidInput
        `rmsle` with negative values, or `mape` with zeros.
    """
    if kind in CLASSIFICATION:
        return
    if metric_key == "rmsle" and (count := int((y < 0.0).sum())):
        raise InvalidInput(
            f"expected a target without negative values for rmsle, got {count} in {len(y)} rows (smallest {y.min():.4g}); "
            "choose rmse or mae"
        )
    if metric_key == "mape" and (count := int((y == 0.0).sum())):
        raise InvalidInput(
            f"expected a target without zeros for mape, got {count} in {len(y)} rows; choose mae, or rmsle where none is negative"
        )


def _infer(cells: Cells, name: str) -> tuple[TaskKind, str]:
    words, _ = cells.distinct
    counts = cells.counts
    n_known = int(counts.sum())
    if cells.dates is not None:
        raise InvalidInput(f"expected classes or numbers to predict, {name!r} holds dates; turn it into a duration")
    numbers: np.ndarray | None
    if cells.numbers is not None:
        numbers = cells.numbers[np.isfinite(cells.numbers)]
    else:
        numerals = looks_numeric(words, counts)
        numbers = None if numerals is None else numerals.values[np.isfinite(numerals.values)]
    n_distinct = len(words) if numbers is None else len(pd.unique(numbers))
    if n_distinct == 2 and (numbers is None or n_known >= 4):
        return "binary", f"{name} has two values"
    if numbers is None:
        return "multiclass", f"{name} has {n_distinct} labels that are not numbers"
    if (numbers != np.floor(numbers)).any():
        return "regression", f"{name} has numbers with decimals"
    if n_distinct <= _MAX_INTEGER_CLASSES and n_known >= _ROWS_PER_CLASS * n_distinct:
        return "multiclass", f"{name} has {n_distinct} different whole numbers over {n_known} rows"
    return "regression", f"{name} has {n_distinct} different whole numbers over {n_known} rows"


def _labels(name: str, kind: TaskKind, reason: str, cells: Cells, asked: bool) -> CleanTarget:
    words, codes, written, issues = _known_labels(name, cells, every_word=asked and kind == "multiclass")
    keep = codes >= 0
    n_known = int(keep.sum())
    n_classes = len(words)
    if n_classes == 1:
        raise InvalidInput(
            f"expected a target that varies, {name!r} is always {str(words.iat[0])[:40]!r}; choose another column"
        )
    if kind == "binary" and n_classes > 2 and not asked:
        kind, reason = "multiclass", f"{name} has two numbers and other labels beside them"
    if kind == "binary" and n_classes != 2:
        raise InvalidInput(
            f"expected two classes for a binary task, which the task or the metric asks for; {name!r} has {n_classes}: ask for "
            "another task or metric, or clean the labels"
        )
    if kind == "multiclass" and n_classes == 2:
        kind, reason = "binary", f"{name} has two values" + (", so multiclass is binary here" if asked else "")
    if n_classes > n_known / 2:
        hint = "ask for regression" if pd.to_numeric(words, errors="coerce").notna().all() else "choose another target"
        raise InvalidInput(
            f"expected classes with two rows or more each, {name!r} has {n_classes} in {n_known} rows; {hint}"
        )
    order = _positive_last(words, np.bincount(codes[keep], minlength=n_classes), level_order(words))
    place = np.empty(n_classes, dtype=np.int64)
    place[order] = np.arange(n_classes)
    y = place[codes[keep]]
    classes = tuple(str(word) for word in written.iloc[order])
    if n_classes == 2:
        reason = f"{reason}; {classes[1]} counts as the positive one"
    issues = [*_missing_targets(name, keep), *issues]
    counts = np.bincount(y, minlength=n_classes)
    rare = np.flatnonzero(counts < _USUAL_FOLDS)
    if len(rare):
        shown = ", ".join(f"{classes[code]} ({counts[code]})" for code in rare[:5])
        message = (
            f"{len(rare)} classes have fewer than {_USUAL_FOLDS} rows: {shown}; they are hardly learnt or measured"
        )
        issues.append(Issue("rare_classes", name, int(counts[rare].sum()), message))
    return CleanTarget(kind, reason, y, classes, keep, tuple(issues))


def _known_labels(name: str, cells: Cells, every_word: bool) -> tuple[pd.Series, np.ndarray, pd.Series, list[Issue]]:
    """Distinct labels, each row's position among them (−1: missing), how they are written, and what was left out: among numbers a
    word is no label, unless every word was asked for."""
    (words, codes), written = cells.distinct, cells.as_written()
    are_words = cells.numbers is None and cells.dates is None and not every_word
    numerals = looks_numeric(words, cells.counts) if are_words else None
    if numerals is None or not np.isnan(numerals.values).any():
        return words, codes, written, []
    known = np.isfinite(numerals.values)
    if known.sum() < 2 or cells.counts[~known].sum() > _MISSING_LABELS_AT_MOST * cells.counts.sum():
        return words, codes, written, []
    place = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)
    return words[known], place[codes], written[known], _dirty_targets(name, words, cells.counts, numerals.junk)


def _positive_last(words: pd.Series, counts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Of two labels that neither a number nor a usual word puts in order, let the rarer one be the positive one (`fraud` and not
    `legit`): it is what F1 and average precision ask about."""
    if len(words) != 2 or pd.to_numeric(words, errors="coerce").notna().all():
        return order
    rank = [(word in _POSITIVE) - (word in _NEGATIVE) for word in words.str.lower()]
    if rank[0] != rank[1]:
        return np.argsort(rank, kind="stable")
    return order[::-1] if counts[order[1]] > counts[order[0]] else order


def _dirty_targets(name: str, words: pd.Series, counts: np.ndarray, junk: np.ndarray) -> list[Issue]:
    count = int(counts[junk].sum())
    if not count:
        return []
    shown = ", ".join(words[junk].head(3))
    return [Issue("dirty_target", name, count, f"{count} targets are not numbers ({shown}): rows left out")]


def _values(name: str, reason: str, cells: Cells) -> CleanTarget:
    issues: list[Issue] = []
    if cells.numbers is not None:
        numbers = cells.numbers
    elif cells.dates is not None:
        raise InvalidInput(f"expected numbers for regression, {name!r} holds dates; turn it into a duration")
    else:
        words, codes = cells.distinct
        numerals = looks_numeric(words, cells.counts)
        if numerals is None:
            wrong = ", ".join(words[read_numerals(words.head(1000)).junk.nonzero()[0][:3]])
            raise InvalidInput(
                f"expected numbers for regression, which the task or the metric asks for; {name!r} holds {wrong}: ask for a "
                "classification, with a metric of classes"
            )
        numbers = np.append(numerals.values, np.nan)[codes]
        issues = _dirty_targets(name, words, cells.counts, numerals.junk)
    keep = np.isfinite(numbers)
    y = numbers[keep].astype(np.float64)
    if len(y) < 2 or y.min() == y.max():
        raise InvalidInput(f"expected a target that varies, {name!r} holds one number only; choose another column")
    return CleanTarget("regression", reason, y, (), keep, (*_missing_targets(name, keep), *issues))


def _missing_targets(name: str, keep: np.ndarray) -> list[Issue]:
    count = int((~keep).sum())
    if count == 0:
        return []
    return [Issue("missing_target", name, count, f"{count} rows without a target in {name} left out")]
