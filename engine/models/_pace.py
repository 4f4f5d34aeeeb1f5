"""Learning rates of boosters by data: small steps where a fit is cheap anyway, and a slow setting for when there is time.

Measured over four or five folds. Two classes: a quarter of the rate gave +0.0025 ROC AUC on 5,300 rows in 0.7 s instead of 0.4,
and nothing on 36,000. Seven classes: half the rate gave −0.009 log loss on 4,900 rows. Numbers: half the rate gave 0.6 % of
RMSE on 15,500 rows for twice the time, and nothing on 1,100.

Many columns make every round dear: on 1,000 × 5,000 values small steps took 94 s instead of 4 for the same 0.80 ROC AUC, and 31
bins a column instead of 255 a third of the time of a LightGBM round, a sixth of an XGBoost or CatBoost one, at no loss.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..plugins import ParamDict
from ..shape import DataShape

_FEW_ROWS = 10_000
_FEW_VALUES = 1_000_000
_MANY_COLUMNS = 500
_BINS, _BINS_OF_MANY = 255, 31
_ROUNDS = 2000
_LEAVES_OF_ALL_ROWS = 6
_SLOW = 2.0


def pace(shape: DataShape) -> float:
    """Factor for the learning rates of a table's default settings."""
    few = shape.n_rows < _FEW_ROWS and shape.n_rows * shape.n_columns <= _FEW_VALUES
    if shape.kind == "regression" or not few:
        return 1.0
    return 0.25 if shape.kind == "binary" else 0.5


def bins(n_columns: int) -> int:
    """Into how many bins a booster puts the values of a column."""
    return _BINS_OF_MANY if n_columns > _MANY_COLUMNS else _BINS


def rows_of_a_leaf(wanted: int, shape: DataShape) -> int:
    """Least rows of a leaf: so many, or fewer where a tree of hardly any rows could not split at all.

    With LightGBM's 20, ROC AUC on 30 and 50 rows of adult, telco_churn and titanic was 0.5; with an eighth or a fifth of the rows
    0.70 to 0.84, on 70 rows of adult 0.81 instead of 0.69: a sixth lies between. From 100 rows on, 20 is as good or better.
    """
    return min(wanted, max(2, shape.n_rows // _LEAVES_OF_ALL_ROWS))


def round_share(n_columns: int) -> float:
    """What a round of LightGBM or XGBoost takes with these bins, as a share of what it would take with the usual ones."""
    return 0.35 if n_columns > _MANY_COLUMNS else 1.0


def paced(settings: Sequence[ParamDict], shape: DataShape) -> list[ParamDict]:
    """The settings at the table's pace, and behind them the first one at half its rate where the pace is not slow already."""
    factor = pace(shape)
    found = [_at(setting, factor) for setting in settings]
    return found if factor < 1.0 else [*found, _at(settings[0], 1.0 / _SLOW)]


def _at(setting: ParamDict, factor: float) -> ParamDict:
    return {
        **setting,
        "learning_rate": float(setting["learning_rate"] or 0.05) * factor,
        "n_estimators": round(_ROUNDS / factor),
    }
