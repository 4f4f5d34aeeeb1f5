"""Piecewise-linear encoding: a number becomes one column per bin between quantiles, filled from 0 to 1 as the number passes it.

A linear model on these columns is any continuous function of the number with a knee at each edge (a linear spline), so that it
is additive instead of linear; networks gain for the same reason (Gorishniy, Rubachev and Babenko 2022, "On Embeddings for Numerical
Features in Tabular Deep Learning", NeurIPS). Beyond the training range the function is flat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InvalidInput
from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_numeric
from ..numbers import add_numbers, fresh_names, matrix
from ..scaled import Scaled, numeric, standardised

if TYPE_CHECKING:
    import optuna

_FIT_ROWS = 50_000


@dataclass(frozen=True)
class Piecewise:
    """Bins of numeric columns: `edges` has one ascending array a column, and there are as many `outputs` as bins. Columns that have
    no use for bins are `scaled`."""

    names: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    outputs: tuple[str, ...]
    scaled: Scaled

    def apply(self, table: Table) -> Table:
        """Put the bins at the end in the place of the numbers; missing stays missing in all of them."""
        values = np.empty((len(table.frame), len(self.outputs)), dtype=np.float32)
        numbers, start = matrix(table, self.names), 0
        for number, edges in enumerate(self.edges):
            passed = (numbers[:, number, None] - edges[:-1]) / np.diff(edges)
            values[:, start : start + passed.shape[1]] = np.clip(passed, 0.0, 1.0, out=passed)
            start += passed.shape[1]
        return add_numbers(self.scaled.apply(table.drop(self.names)), self.outputs, values)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Piecewise]:
    """Place the edges by at most 50,000 rows; columns of one or two values are standardised.

    Raises `InvalidInput` for fewer than one bin.
    """
    names = numeric(table)
    # Earlier blocks may have added numbers, and all of them share the room.
    shape = replace(context.shape, n_numeric=len(names))
    room = max(shape.room_for_bins, 1)
    asked = params["bins"]
    if asked is not None and int(asked) < 1:
        raise InvalidInput(f"encode.piecewise needs bins of 1 or more, got {asked}")
    bins = min(int(asked) if asked is not None else shape.bins or room, room)
    rows = np.arange(len(table.frame))
    if len(rows) > _FIT_ROWS:
        rows = np.sort(np.random.default_rng(context.seed).choice(len(rows), _FIT_ROWS, replace=False))
    values = matrix(table.take(rows), names)
    edges = {name: _edges(values[:, number], bins) for number, name in enumerate(names)}
    kept = tuple(name for name in names if len(edges[name]) > 2)
    wanted = [f"{name} from {low:.6g}" for name in kept for low in edges[name][:-1]]
    transform = Piecewise(
        kept,
        tuple(edges[name] for name in kept),
        tuple(fresh_names(table, wanted)),
        standardised(table, tuple(name for name in names if name not in kept)),
    )
    return transform.apply(table), transform


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Ascending quantiles (at most n_bins + 1,) of the known values, without steps that are rounding only.

    A value that repeats counts as one bin at most, so that the bins go to the others: most rows of some columns are zero.
    """
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(distinct) < 3:
        return np.asarray(distinct)
    passed = np.cumsum(np.minimum(counts, max(counts.sum() // bins, 1)))
    wanted = np.linspace(passed[0], passed[-1], bins + 1)
    edges = np.unique(distinct[np.searchsorted(passed, wanted)])
    wide = np.diff(edges) > 1e-12 * np.maximum(np.abs(edges[1:]), 1e-18)
    return np.asarray(edges[np.concatenate([[True], wide])])


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Half to twice as many bins, as far as there is room."""
    most = max(4, min(2 * shape.bins, shape.room_for_bins))
    return {"bins": trial.suggest_int("bins", max(2, min(shape.bins // 2, most)), most, log=True)}


def applies(shape: DataShape) -> str | None:
    """Numbers, rows enough for their bins, and not so much of both that they fill the memory."""
    if shape.n_numeric and not shape.bins:
        return "too few rows for bins of numbers, or too many numbers for the memory"
    return needs_numeric(shape)


def widens(shape: DataShape) -> DataShape:
    """A column per bin."""
    return replace(shape, n_numeric=shape.n_numeric * max(1, shape.bins))


COMPONENT = Component(
    key="piecewise",
    slot="encode",
    group="scaling",
    title="Piecewise linear",
    summary="Each number as its way through bins between quantiles: makes linear models additive, and helps networks.",
    order=60,
    defaults={"bins": None},
    space=space,
    applies=applies,
    widens=widens,
    fit_table=fit,
)
