"""Reasons why a component has nothing to do on a table; each function is an `applies` of the component contract."""

from __future__ import annotations

from ..shape import DataShape


def needs_numeric(shape: DataShape) -> str | None:
    """At least one numeric column."""
    return None if shape.n_numeric else "no numeric columns"


def needs_categorical(shape: DataShape) -> str | None:
    """At least one categorical column."""
    return None if shape.n_categorical else "no categorical columns"


def needs_datetime(shape: DataShape) -> str | None:
    """At least one date column."""
    return None if shape.n_datetime else "no date columns"


def needs_text(shape: DataShape) -> str | None:
    """At least one column of free text."""
    return None if shape.n_text else "no free text columns"


def needs_id(shape: DataShape) -> str | None:
    """At least one id column."""
    return None if shape.n_id else "no id columns"


def needs_missing(shape: DataShape) -> str | None:
    """At least one missing cell."""
    return None if shape.missing_share > 0.0 else "no missing values"


def needs_some_columns(shape: DataShape) -> str | None:
    """Enough columns for a selection to mean something."""
    return None if shape.n_columns >= 3 else "fewer than three feature columns"
