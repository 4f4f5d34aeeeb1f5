"""Piecewise-linear encoding: a standardised number gets company, one column per bin between quantiles, filled from 0 to 1 as the
number passes the bin.

A linear model on these columns is any continuous function of the number with a knee at each edge (a linear spline), so that it
is additive instead of linear; networks gain for the same reason (Gorishniy, Rubachev and Babenko 2022, "On Embeddings for Numerical
Features in Tabular Deep Learning", NeurIPS). The number itself stays: a penalty then draws towards the straight line, and beyond
the training range the line goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_numeric
from ..numbers import add_numbers, fresh_names, matrix
from ..scaled import Scaled, standardised

if TYPE_CHECKING:
    import optuna

_FIT_ROWS = 50_000


@dataclass(frozen=True)
class Piecewise:
    """Bins of numeric columns: `edges` has one ascending array a column, and there are as many `outputs` as bins."""

    scaled: Scaled
    names: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Standardise the numbers and add the bins; missing stays missing in all of them."""
        values = np.empty((len(table.frame), len(self.outputs)), dtype=np.float32)
        numbers, start = matrix(table, self.names), 0
        for number, edges in enumerate(self.edges):
            passed = (numbers[:, number, None] - edges[:-1]) / np.diff(edges)
            values[:, start : start + passed.shape[1]] = np.clip(passed, 0.0, 1.0, out=passed)
            start += passed.shape[1]
        return add_numbers(self.scaled.apply(table).drop(self.names), self.outputs, values)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Piecewise]:
    """Learn means and deviations, and place the edges by at most 50,000 rows."""
    scaled = standardised(table)
    bins = int(params["bins"] or context.shape.bins or 1)
    rows = np.arange(len(table.frame))
    if len(rows) > _FIT_ROWS:
        rows = np.sort(np.random.default_rng(context.seed).choice(len(rows), _FIT_ROWS, replace=False))
    values = matrix(table.take(rows), scaled.names)
    edges = {name: _edges(values[:, number], bins) for number, name in enumerate(scaled.names)}
    # One bin says what the number itself says.
    kept = tuple(name for name in scaled.names if len(edges[name]) > 2)
    wanted = [f"{name} from {low:.6g}" for name in kept for low in edges[name][:-1]]
    transform = Piecewise(scaled, kept, tuple(edges[name] for name in kept), tuple(fresh_names(table, wanted)))
    return transform.apply(table), transform


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Ascending quantiles (at most n_bins + 1,) of the known values, without steps too small for float32.

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
    """Half to twice as many bins."""
    return {"bins": trial.suggest_int("bins", max(2, shape.bins // 2), max(4, 2 * shape.bins), log=True)}


def applies(shape: DataShape) -> str | None:
    """Numbers, but not so many that their bins fill the memory."""
    if shape.n_numeric and not shape.bins:
        return "too many rows and numeric columns for bins of each"
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
