"""`Issue`: what reading and typing found in the data and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Issue:
    """Something a reader of the data should know: stable code, column if any, how many rows, and what was done about it."""

    code: str
    column: str | None
    count: int
    message: str
