"""What rows must look like for a saved model: the feature columns and how each is read. Never drops or reorders rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd

from .columns import ColumnSpec, read_column
from .dataset import Dataset
from .errors import InvalidInput
from .issue import Issue
from .names import tidy_name
from .one_row import Values, read_cell
from .roles import Role
from .table import Table


@dataclass(frozen=True)
class Schema:
    """The columns of the training table, in order, each with its role and how it was read."""

    columns: tuple[ColumnSpec, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Schema:
        """Return the schema of a dataset's feature columns, ids and constants included."""
        specs = {spec.name: spec for spec in dataset.specs}
        return cls(
            tuple(
                specs.get(name, ColumnSpec(name, dataset.feature_roles[name]))
                for name in map(str, dataset.frame.columns)
            )
        )

    @property
    def roles(self) -> dict[str, Role]:
        """What the values of each column are."""
        return {spec.name: spec.role for spec in self.columns}

    def apply(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Type rows as the training table was.

        Columns are matched by name in any order (white space around names does not count) and others are ignored. Cells that
        cannot be read become missing, as in training; levels that training did not have are kept for the encoders to deal with.

        Returns
        -------
        DataFrame (n_rows, n_columns) with a fresh row index and the schema's columns in order, and one warning per column that
        lost cells.

        Raises
        ------
        InvalidInput
            Columns are missing or stand twice in the table.
        """
        typed, issues = self.read(frame)
        return typed, [issue.message for issue in issues]

    def read(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Issue]]:
        """`apply`, with what was lost as issues."""
        frame = frame.reset_index(drop=True)
        places: dict[str, list[int]] = {}
        for position, name in enumerate(frame.columns):
            places.setdefault(tidy_name(name), []).append(position)
        self._check_names(places)
        values: dict[str, Values] = {}
        lost: list[Issue] = []
        for spec in self.columns:
            column = frame.iloc[:, places[spec.name][0]]
            plain = read_cell(spec, column.array[0]) if len(frame) == 1 else None
            if plain is not None:
                values[spec.name] = plain
                continue
            typed, issues = read_column(spec, column)
            values[spec.name] = typed
            lost.extend(issue for issue in issues if issue.code != "missing_words")
        return pd.DataFrame(values, index=frame.index), lost

    def table(self, frame: pd.DataFrame) -> Table:
        """Return `apply`'s rows with their roles, ready for a fitted pipeline."""
        return Table(self.apply(frame)[0], self.roles)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; inverse of `from_json`."""
        return {"columns": [spec.to_json() for spec in self.columns]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Schema:
        """Rebuild a schema."""
        return cls(tuple(ColumnSpec.from_json(item) for item in body["columns"]))

    def _check_names(self, places: Mapping[str, list[int]]) -> None:
        # A constant or an id is in the table, but nothing depends on it; still it is asked for: one rule is easier to explain.
        missing = [spec.name for spec in self.columns if spec.name not in places]
        if missing:
            near = get_close_matches(missing[0], places, n=1)
            hint = f"; is {missing[0]!r} called {near[0]!r} here?" if near else "; add them"
            shown = ", ".join(map(repr, missing[:8])) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
            raise InvalidInput(
                f"expected the {len(self.columns)} columns the model was trained on, missing: {shown}{hint}"
            )
        twice = [spec.name for spec in self.columns if len(places[spec.name]) > 1]
        if twice:
            raise InvalidInput(
                f"expected every column once, got {', '.join(map(repr, twice[:5]))} more than once; rename them"
            )
