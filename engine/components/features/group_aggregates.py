"""How a number compares with the training rows of the same category: group mean, group deviation, difference to the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..association import strongest
from ..levels import Levels
from ..numbers import add_numbers, fresh_names, matrix

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class GroupAggregates:
    """Statistics of numeric columns per level of categorical columns.

    Attributes
    ----------
    levels : mapping of categorical column to its training levels
    numbers : tuple of str
        Numeric columns.
    means, deviations : mapping of categorical column to ndarray (n_levels + 2, n_numbers)
        One row per level, then missing, then unseen (all training rows together).
    outputs : tuple of str
    """

    levels: dict[str, Levels]
    numbers: tuple[str, ...]
    means: dict[str, np.ndarray]
    deviations: dict[str, np.ndarray]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Add mean, deviation and difference to the mean for each pair."""
        values = matrix(table, self.numbers)
        parts = []
        for name, levels in self.levels.items():
            codes = _codes(levels, table, name)
            mean = self.means[name][codes]
            parts += [mean, self.deviations[name][codes], values - mean]
        stacked = np.concatenate(parts, axis=1) if parts else np.empty((len(table.frame), 0))
        return add_numbers(table, self.outputs, stacked)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, GroupAggregates]:
    """Choose the columns by their mutual information with the target and measure the groups."""
    n_best = int(params["n_columns"] or 0)
    categories = strongest(table, table.columns(Role.CATEGORICAL), y, context, n_best)
    numbers = strongest(table, table.columns(Role.NUMERIC), y, context, n_best) if categories else ()
    levels = {name: Levels.of(table.frame[name]) for name in categories} if numbers else {}
    values = matrix(table, numbers)
    means, deviations = {}, {}
    for name, known in levels.items():
        means[name], deviations[name] = _moments(_codes(known, table, name), values, len(known) + 2)
    wanted = [
        f"{number} {what} {name}" for name in levels for what in ("mean by", "deviation by", "minus mean by") for number in numbers
    ]  # fmt: skip
    transform = GroupAggregates(levels, numbers, means, deviations, tuple(fresh_names(table, wanted)))
    return transform.apply(table), transform


def _codes(levels: Levels, table: Table, name: str) -> np.ndarray:
    return levels.codes(table.frame[name], missing=len(levels), unseen=len(levels) + 1)


def _moments(codes: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (size, n_numbers) of the known values per code; those of all rows where a code has none."""
    means, deviations = np.zeros((size, values.shape[1])), np.zeros((size, values.shape[1]))
    for number, column in enumerate(values.T):
        known = ~np.isnan(column)
        if not known.any():
            continue
        center = column[known].mean()
        shifted, of = column[known] - center, codes[known]
        counts = np.bincount(of, minlength=size)
        first = np.bincount(of, weights=shifted, minlength=size) / np.maximum(counts, 1)
        second = np.bincount(of, weights=shifted**2, minlength=size) / np.maximum(counts, 1)
        spread = np.sqrt(np.maximum(second - first**2, 0.0))
        means[:, number] = center + first
        deviations[:, number] = np.where(counts > 0, spread, shifted.std())
    return means, deviations


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """How many categorical and how many numeric columns are crossed."""
    return {"n_columns": trial.suggest_int("n_columns", 1, 6)}


def applies(shape: DataShape) -> str | None:
    """Needs a categorical and a numeric column."""
    return None if shape.n_categorical and shape.n_numeric else "no pair of a categorical and a numeric column"


COMPONENT = Component(
    key="group_aggregates",
    slot="features",
    group="aggregates",
    title="Group aggregates",
    summary="Adds how a number compares with the training rows of the same category (mean, deviation, difference to the mean).",
    order=60,
    defaults={"n_columns": 3},
    space=space,
    applies=applies,
    fit_table=fit,
)
