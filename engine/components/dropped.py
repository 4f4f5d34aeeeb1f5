"""Columns that a fitted component leaves out."""

from __future__ import annotations

from dataclasses import dataclass

from ..table import Table


@dataclass(frozen=True)
class Dropped:
    """Leaves out the columns found in fitting."""

    names: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Return the table without them."""
        return table.drop(self.names) if self.names else table
