"""Cross-fitted target encoding: the mean target of a category, never computed from the row it encodes.

The training rows get statistics of the other inner folds only; later rows get those of all training rows. Smoothing pulls rare
categories to the overall mean: (sum + m · prior) / (count + m), Micci-Barreca 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_categorical
from ..levels import Levels, all_levels
from ..numbers import add_numbers, fresh_names

if TYPE_CHECKING:
    import optuna

_MAX_CLASSES = 10


@dataclass(frozen=True)
class TargetMeans:
    """Smoothed target means per level.

    Attributes
    ----------
    levels : mapping of column to its training levels
    means : mapping of column to ndarray (n_levels + 2, n_targets)
        One row per level, then one for missing, then one (the prior) for unseen.
    outputs : tuple of str
        Names of the new columns, those of the first column first.
    """

    levels: dict[str, Levels]
    means: dict[str, np.ndarray]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Replace the categories by the means of all training rows."""
        parts = [self.means[name][_codes(levels, table, name)] for name, levels in self.levels.items()]
        return _replace(table, self.levels, self.outputs, parts)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, TargetMeans]:
    """Encode the training rows fold by fold, and keep the statistics of all of them for later rows."""
    smoothing, n_folds = float(params["smoothing"] or 0.0), int(params["n_folds"] or 0)
    targets, labels = _targets(y, context)
    levels = all_levels(table)
    folds = context.inner_folds(min(n_folds, len(y))) if levels and min(n_folds, len(y)) > 1 else []
    means, parts = {}, []
    for name, known in levels.items():
        codes, size = _codes(known, table, name), len(known) + 2
        means[name] = _means(codes, targets, size, smoothing)
        # Rows that no inner fold holds out (the oldest ones of a time split) get the prior, which tells nothing of their own.
        part = np.repeat(means[name][-1:], len(y), axis=0)
        for fitted, held in folds:
            part[held] = _means(codes[fitted], targets[fitted], size, smoothing)[codes[held]]
        parts.append(part)
    outputs = fresh_names(table, (f"{name}:mean{label}" for name in levels for label in labels))
    transform = TargetMeans(levels, means, tuple(outputs))
    return _replace(table, levels, transform.outputs, parts), transform


def _targets(y: np.ndarray, context: FitContext) -> tuple[np.ndarray, list[str]]:
    """What is averaged: (n_rows, n_targets) and a suffix for each; for many classes only the most frequent ones."""
    if context.task.kind == "regression":
        return y.reshape(-1, 1).astype(np.float64), [""]
    if context.task.kind == "binary":
        return (y == 1).reshape(-1, 1).astype(np.float64), [""]
    counts = np.bincount(y.astype(np.int64), minlength=context.task.n_outputs)
    classes = np.sort(np.argsort(-counts, kind="stable")[:_MAX_CLASSES])
    return (y[:, None] == classes[None, :]).astype(np.float64), [f"[{context.task.classes[code]}]" for code in classes]


def _codes(levels: Levels, table: Table, name: str) -> np.ndarray:
    return levels.codes(table.frame[name], missing=len(levels), unseen=len(levels) + 1)


def _means(codes: np.ndarray, targets: np.ndarray, size: int, smoothing: float) -> np.ndarray:
    """Smoothed means (size, n_targets); a level without rows gets the prior."""
    prior = targets.mean(axis=0)
    counts = np.bincount(codes, minlength=size).astype(np.float64)[:, None]
    sums = np.stack([np.bincount(codes, weights=column, minlength=size) for column in targets.T], axis=1)
    return (
        np.asarray((sums + smoothing * prior) / np.maximum(counts + smoothing, 1e-12))
        if smoothing
        else np.where(counts > 0, sums / np.maximum(counts, 1.0), prior)
    )


def _replace(table: Table, levels: dict[str, Levels], outputs: tuple[str, ...], parts: list[np.ndarray]) -> Table:
    values = np.concatenate(parts, axis=1) if parts else np.empty((len(table.frame), 0))
    return add_numbers(table.drop(levels), outputs, values, Role.NUMERIC)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How far rare categories are pulled to the overall mean, in rows."""
    return {"smoothing": trial.suggest_float("smoothing", 1.0, 200.0, log=True)}


COMPONENT = Component(
    key="target_mean",
    slot="encode",
    group="categories",
    title="Target encoding",
    summary="Cross-fitted mean target per category, smoothed: the strongest encoding for categories with many levels.",
    order=10,
    defaults={"smoothing": 10.0, "n_folds": 5},
    space=space,
    applies=needs_categorical,
    fit_table=fit,
)
