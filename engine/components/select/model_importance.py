"""Keep the columns that a small boosted model uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_some_columns
from ..association import some_rows
from ..dropped import Dropped
from ..levels import Levels
from ..numbers import matrix

if TYPE_CHECKING:
    import optuna

_MAX_ROWS, _MIN_ROWS = 20_000, 2_000
_MAX_VALUES = 2_000_000
_MAX_ROUNDS, _MIN_ROUNDS = 60, 5
_MAX_TREES = 240
"""Trees in all, one per class and round. Size alone sets the work: a look at the clock would let it choose the columns."""


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Dropped]:
    """Keep the smallest set of columns that together make up the share of all gain; at least three."""
    names = table.columns(Role.NUMERIC, Role.BOOLEAN, Role.CATEGORICAL)
    if len(names) <= 3 or len(y) < 20:
        return table, Dropped(())
    context.deadline.check("looking for the columns a model gains from")
    n_rows = int(np.clip(_MAX_VALUES // len(names), _MIN_ROWS, _MAX_ROWS))
    rows = some_rows(len(y), n_rows, context.seed)
    gain = _gain(table.take(rows), names, y[rows], context)
    order = np.argsort(-gain, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(gain[order])[:-1]]) / max(float(gain.sum()), 1e-12)
    kept = {names[i] for place, i in enumerate(order) if before[place] < float(params["share"] or 0.0) or place < 3}
    transform = Dropped(tuple(name for name in names if name not in kept))
    return transform.apply(table), transform


def _gain(table: Table, names: list[str], y: np.ndarray, context: FitContext) -> np.ndarray:
    """Total gain of each column (n_names,) in a LightGBM model of a fixed number of rounds (60 for values and two classes)."""
    import lightgbm

    categorical = [i for i, name in enumerate(names) if table.roles[name] is Role.CATEGORICAL]
    values = np.empty((len(y), len(names)))
    for number, name in enumerate(names):
        if number in categorical:
            codes = Levels.of(table.frame[name]).codes(table.frame[name])
            values[:, number] = np.where(codes < 0, np.nan, codes)
        else:
            values[:, number] = matrix(table, [name])[:, 0]
    settings: dict[str, Any] = {
        "objective": context.task.kind,
        "num_leaves": 31,
        "learning_rate": 0.1,
        "feature_fraction": 0.7,
        "min_data_per_group": 20,
        "num_threads": context.threads,
        "seed": context.seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    target, trees_per_round = y, 1
    if context.task.is_classification:
        present, target = np.unique(y, return_inverse=True)
        if context.task.kind == "multiclass":
            trees_per_round = len(present)
            settings["num_class"] = len(present)
    data = lightgbm.Dataset(values, target.reshape(-1), categorical_feature=categorical, free_raw_data=True)

    def give_up_in_time(state: Any) -> None:
        # Fewer rounds would be another choice of columns: without the time for all there is none.
        context.deadline.check("looking for the columns a model gains from")

    rounds = int(np.clip(_MAX_TREES // trees_per_round, _MIN_ROUNDS, _MAX_ROUNDS))
    model = lightgbm.train(settings, data, num_boost_round=rounds, callbacks=[give_up_in_time])
    return np.asarray(model.feature_importance("gain"), dtype=np.float64)


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Share of the gain that is kept."""
    return {"share": trial.suggest_float("share", 0.8, 0.999)}


COMPONENT = Component(
    key="model_importance",
    slot="select",
    group="select",
    title="Model importance",
    summary="Keeps the columns a quick boosted model gains from, interactions included: drops noise columns for any learner.",
    defaults={"share": 0.98},
    space=space,
    applies=needs_some_columns,
    requires=("lightgbm",),
    fit_table=fit,
)
