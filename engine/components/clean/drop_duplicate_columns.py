"""Columns that repeat another column are left out; categories also when only their names differ."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from ...plugins import Component, FitContext, ParamDict
from ...roles import FEATURE_ROLES, Role
from ...shape import DataShape
from ...table import Table
from ..dropped import Dropped


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, Dropped]:
    """Compare the columns of each kind by the digest of their values; the first of equals stays."""
    seen: set[tuple[Role, bytes]] = set()
    repeated = []
    for name in table.columns(*FEATURE_ROLES) if len(table.frame) > 1 else []:
        role = table.roles[name]
        kind = Role.NUMERIC if role is Role.BOOLEAN else role
        digest = (kind, _digest(table.frame[name], kind))
        if digest in seen:
            repeated.append(name)
        seen.add(digest)
    transform = Dropped(tuple(repeated))
    return transform.apply(table), transform


def _digest(series: pd.Series, role: Role) -> bytes:
    if role is Role.NUMERIC:
        # + 0.0 makes one zero of the two.
        values = series.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
        values[np.isnan(values)] = np.nan
    elif role is Role.DATETIME:
        values = series.astype("datetime64[us]").to_numpy().view(np.int64)
    elif role is Role.CATEGORICAL:
        values = pd.factorize(series)[0].astype(np.int64)
    else:
        values = pd.util.hash_pandas_object(series, index=False).to_numpy().view(np.int64)
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()


def applies(shape: DataShape) -> str | None:
    """Needs two columns."""
    return None if shape.n_columns > 1 else "fewer than two feature columns"


COMPONENT = Component(
    key="drop_duplicate_columns",
    slot="clean",
    group="duplicates",
    title="Drop duplicate columns",
    summary="Leaves out columns that repeat another one value by value; categories also under other names.",
    order=15,
    applies=applies,
    fit_table=fit,
)
