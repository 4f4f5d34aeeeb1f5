"""Datasets: a table on disk read into typed columns with roles, a cleaned target, frozen row ids and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from .columns import VALUE_ROLES, ColumnSpec, infer_column
from .errors import InvalidInput
from .issue import Issue
from .levels import as_category
from .reading import RawTable, read_table
from .roles import Role
from .table import Table
from .target import clean_target, find_column
from .task import TaskKind

__all__ = ["Dataset", "Issue", "content_fingerprint", "dataset_of", "load_snapshot", "open_dataset", "save_snapshot"]

NEVER = "none"
"""In the place of a time or group column: rows are not to be split by it, whatever the data say."""

_SNAPSHOT_KEY = b"mle_star"
_SNAPSHOT_FORMAT = 1


@dataclass(frozen=True)
class Dataset:
    """A parsed table.

    Attributes
    ----------
    frame : DataFrame (n_rows, n_columns)
        All columns but the target, typed as `Table` describes; GROUP and TIME columns included.
    roles : dict of column name to Role
        A column that steers the split (GROUP, TIME) is listed under that role; `feature_roles` says how it may be used as a
        feature.
    feature_roles : dict of column name to Role
        What the values are, for every column of `frame`.
    y : ndarray (n_rows,)
        float64 values, or int64 class codes.
    classes : tuple of str
        Labels in code order, as they are written in the file; empty for regression.
    row_ids : ndarray (n_rows,) int64
        Row numbers of the file, counted from 0 before any row was dropped.
    fingerprint : str
        Content hash of values, column names, roles and target: 16 hexadecimal digits.
    specs : tuple of ColumnSpec
        How each column of `frame` was read from text, so that a later file is read the same way.
    """

    name: str
    target: str
    frame: pd.DataFrame
    roles: dict[str, Role]
    feature_roles: dict[str, Role]
    y: np.ndarray
    classes: tuple[str, ...]
    row_ids: np.ndarray
    fingerprint: str
    issues: tuple[Issue, ...]
    specs: tuple[ColumnSpec, ...] = field(default=())

    @property
    def n_rows(self) -> int:
        """Rows with a known target."""
        return len(self.y)

    @property
    def table(self) -> Table:
        """All columns that may be features, ids and constants included, with what their values are as roles."""
        return Table(self.frame, self.feature_roles)


def open_dataset(
    path: str | Path,
    target: str,
    task: Literal["auto"] | TaskKind = "auto",
    time_column: str | None = None,
    group_column: str | None = None,
    id_columns: Sequence[str] = (),
    roles: Mapping[str, Role] | None = None,
    name: str | None = None,
) -> tuple[Dataset, TaskKind, str]:
    """Read a file and understand it.

    Returns
    -------
    (dataset, task, reason)
        `reason` says in words why it is this task.

    Raises
    ------
    InvalidInput
        The file is no usable table, a named column is not in it, or the target cannot be learnt.
    """
    path = Path(path)
    raw = read_table(path)
    return dataset_of(raw, target, task, time_column, group_column, id_columns, roles, name or path.name.split(".")[0])


def dataset_of(
    raw: RawTable,
    target: str,
    task: Literal["auto"] | TaskKind = "auto",
    time_column: str | None = None,
    group_column: str | None = None,
    id_columns: Sequence[str] = (),
    roles: Mapping[str, Role] | None = None,
    name: str = "data",
) -> tuple[Dataset, TaskKind, str]:
    """Understand a table that was read already; as `open_dataset`."""
    target = find_column(raw.frame, target, "target")
    asked = _asked_roles(raw.frame, target, time_column, group_column, id_columns, roles or {})
    cleaned = clean_target(raw.frame[target], task)
    if len(cleaned.y) < 2:
        raise InvalidInput(f"expected at least two rows with a known {target!r}, got {len(cleaned.y)}; check the file")
    keep, row_ids = cleaned.keep, np.flatnonzero(cleaned.keep)
    source = raw.frame if keep.all() else raw.frame.loc[keep]
    values: dict[str, Any] = {}
    specs: list[ColumnSpec] = []
    issues: list[Issue] = [*raw.issues, *cleaned.issues]
    steering: dict[str, Role] = {}
    for column in raw.frame.columns:
        if column == target:
            continue
        role = asked.get(column)
        if role in (Role.GROUP, Role.TIME):
            steering[column] = role
            role = None
        typed = infer_column(source[column], column, role)
        if group_column == NEVER and typed.spec.role is Role.ID and role is None and _repeats(typed.values):
            # Ids that will come again are categories: what is known of one is worth knowing.
            typed = infer_column(source[column], column, Role.CATEGORICAL)
        # Bare arrays: a frame of thousands of series aligns every one of them.
        values[column] = typed.values.array
        specs.append(typed.spec)
        issues.extend(typed.issues)
    frame = pd.DataFrame(values, index=pd.RangeIndex(len(row_ids)))
    feature_roles = {spec.name: spec.role for spec in specs}
    all_roles = {**feature_roles, **steering}
    fingerprint = content_fingerprint(frame, all_roles, target, cleaned.y, cleaned.classes, row_ids)
    dataset = Dataset(
        name=name,
        target=target,
        frame=frame,
        roles=all_roles,
        feature_roles=feature_roles,
        y=cleaned.y,
        classes=cleaned.classes,
        row_ids=row_ids,
        fingerprint=fingerprint,
        issues=tuple(issues),
        specs=tuple(specs),
    )
    return dataset, cleaned.kind, cleaned.reason


def save_snapshot(dataset: Dataset, kind: TaskKind, path: Path) -> None:
    """Write the dataset to one Parquet file, from which `load_snapshot` gives back exactly the same; nothing is pickled."""
    # Columns are stored by position, because a table may use any name.
    arrays = [pa.array(dataset.y), pa.array(dataset.row_ids)]
    for _, column in _columns(dataset.frame):
        if isinstance(column, np.ndarray):
            arrays.append(pa.array(np.ascontiguousarray(column)))
        elif isinstance(column.dtype, pd.CategoricalDtype):
            codes = pa.array(column.cat.codes.to_numpy(), mask=column.isna().to_numpy())
            levels = pa.array(column.cat.categories.to_numpy(dtype=object), type=pa.string())
            arrays.append(pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), levels))
        else:
            arrays.append(pa.array(column, from_pandas=True))
    about = {
        "format": _SNAPSHOT_FORMAT,
        "kind": kind,
        "name": dataset.name,
        "target": dataset.target,
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "roles": {name: role.value for name, role in dataset.roles.items()},
        "issues": [asdict(issue) for issue in dataset.issues],
        "specs": [spec.to_json() for spec in dataset.specs],
        "columns": list(dataset.frame.columns),
        "feature_roles": [dataset.feature_roles[name].value for name in dataset.frame.columns],
    }
    table = pa.table(arrays, names=["y", "row_id", *(f"c{position}" for position in range(len(arrays) - 2))])
    staging = path.with_name(f"{path.name}.part")
    parquet.write_table(
        table.replace_schema_metadata({_SNAPSHOT_KEY: json.dumps(about).encode()}),
        staging,
        compression="zstd",
        # Thousands of numeric columns: tables of their values and their ranges cost more than they save.
        use_dictionary=[field.name for field in table.schema if not pa.types.is_floating(field.type)],
        write_statistics=False,
    )
    staging.replace(path)


def load_snapshot(path: Path) -> tuple[Dataset, TaskKind]:
    """Read what `save_snapshot` wrote; raises `InvalidInput` for any other file."""
    try:
        table = parquet.read_table(path)
        about = json.loads((table.schema.metadata or {})[_SNAPSHOT_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InvalidInput(
            f"expected a dataset snapshot at {path}, got something else; profile the table again"
        ) from error
    if about["format"] != _SNAPSHOT_FORMAT:
        raise InvalidInput(
            f"expected a snapshot of format {_SNAPSHOT_FORMAT}, got {about['format']}; profile the table again"
        )
    feature_roles = {name: Role(role) for name, role in zip(about["columns"], about["feature_roles"], strict=True)}
    values = {name: _restored(table.column(f"c{position}")) for position, name in enumerate(about["columns"])}
    dataset = Dataset(
        name=about["name"],
        target=about["target"],
        frame=pd.DataFrame(values, index=pd.RangeIndex(table.num_rows)),
        roles={name: Role(role) for name, role in about["roles"].items()},
        feature_roles=feature_roles,
        y=table.column("y").to_numpy(),
        classes=tuple(about["classes"]),
        row_ids=table.column("row_id").to_numpy(),
        fingerprint=about["fingerprint"],
        issues=tuple(Issue(**issue) for issue in about["issues"]),
        specs=tuple(ColumnSpec.from_json(spec) for spec in about["specs"]),
    )
    return dataset, about["kind"]


def _restored(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_dictionary(column.type):
        # Parquet keeps levels in the order they occur in; ours have a canonical one.
        whole = column.unify_dictionaries().combine_chunks()
        if isinstance(whole, pa.ChunkedArray):
            whole = whole.chunk(0)
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return pd.Series(as_category(pd.Series(whole.dictionary.to_pylist(), dtype="str"), codes))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(column.to_pandas(), dtype="str")
    return pd.Series(column.to_pandas())


def content_fingerprint(
    frame: pd.DataFrame,
    roles: Mapping[str, Role],
    target: str,
    y: np.ndarray,
    classes: tuple[str, ...],
    row_ids: np.ndarray,
) -> str:
    """Hash what the dataset says, not where it lies: 16 hexadecimal digits."""
    digest = hashlib.sha256(repr((target, classes, y.dtype.str, len(y))).encode())
    digest.update(np.ascontiguousarray(y).tobytes())
    digest.update(np.ascontiguousarray(row_ids).tobytes())
    for name, column in _columns(frame):
        digest.update(repr((name, roles[name].value)).encode())
        digest.update(_column_bytes(column))
    return digest.hexdigest()[:16]


def _columns(frame: pd.DataFrame) -> Iterator[tuple[str, pd.Series | np.ndarray]]:
    """Columns in order; floats as bare arrays, because thousands of series take seconds."""
    floats = [position for position, dtype in enumerate(frame.dtypes) if dtype == np.float64]
    block = frame.iloc[:, floats].to_numpy()
    place = {position: column for column, position in enumerate(floats)}
    for position, name in enumerate(frame.columns):
        column = place.get(position)
        yield str(name), frame.iloc[:, position] if column is None else block[:, column]


def _column_bytes(column: pd.Series | np.ndarray) -> bytes:
    if isinstance(column, np.ndarray):
        # Adding zero turns −0.0 into 0.0; missing values get one bit pattern.
        values = column + 0.0
        return np.where(np.isnan(values), np.nan, values).tobytes()
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = "\x00".join(f"{len(level)}:{level}" for level in column.cat.categories)
        return levels.encode(errors="surrogatepass") + column.cat.codes.to_numpy(dtype=np.int32).tobytes()
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return column.to_numpy().view(np.int64).tobytes()
    hashes: np.ndarray = pd.util.hash_pandas_object(column, index=False).to_numpy()
    return hashes.tobytes()


def _repeats(values: pd.Series) -> bool:
    """Whether a value comes twice or more on average."""
    return 2 * values.nunique() <= values.notna().sum()


def _asked_roles(
    frame: pd.DataFrame,
    target: str,
    time_column: str | None,
    group_column: str | None,
    id_columns: Sequence[str],
    roles: Mapping[str, Role],
) -> dict[str, Role]:
    asked: dict[str, Role] = {}
    for column, role in roles.items():
        found = find_column(frame, column, "column of a role")
        if role not in VALUE_ROLES | {Role.GROUP, Role.TIME}:
            raise InvalidInput(f"expected a role for a column beside the target, got {role.value} for {found!r}")
        asked[found] = role
    for column in id_columns:
        asked[find_column(frame, column, "id column")] = Role.ID
    if group_column not in (None, NEVER):
        asked[find_column(frame, group_column, "group column")] = Role.GROUP
    if time_column not in (None, NEVER):
        asked[find_column(frame, time_column, "time column")] = Role.TIME
    if target in asked:
        raise InvalidInput(
            f"expected {target!r} as the target only, it was also named as {asked[target].value}; choose one"
        )
    return asked
