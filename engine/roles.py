"""Column roles: what a column is to the model, whatever type it has on disk."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The part a column plays. `GROUP`, `TIME` and `TARGET` steer the split; the others say how to use the values."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    ID = "id"
    CONSTANT = "constant"
    GROUP = "group"
    TIME = "time"
    TARGET = "target"


FEATURE_ROLES = frozenset({Role.NUMERIC, Role.CATEGORICAL, Role.BOOLEAN, Role.DATETIME, Role.TEXT})
"""Roles that travel through a pipeline by default; ids and constants are left out unless a solution asks for them."""
