"""The errors a user can meet: each message says what was expected, what came and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class MleStarError(Exception):
    """Root of every error this package raises on purpose; its text is safe to show to a client."""


class InvalidInput(MleStarError, ValueError):
    """The data or an argument cannot be used as given."""


class NotFound(MleStarError, LookupError):
    """A run, window, column or component of that name does not exist."""


class Refused(MleStarError, PermissionError):
    """A path lies outside the allowed folders, or a file does not match its manifest."""


class Busy(MleStarError, RuntimeError):
    """Another job owns the run at this moment."""


class DeadlinePassed(MleStarError, TimeoutError):
    """The clock ran out before the work could give a result."""


class Cancelled(MleStarError, RuntimeError):
    """Somebody stopped the work; what it had finished is kept."""


class UnreadCells(UserWarning):
    """Cells of a file to predict that cannot be read as the training table's were, and count as missing."""


FailureKind = Literal["timeout", "memory", "error", "invalid"]


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no score. It is not a number, so it can never win a comparison."""

    kind: FailureKind
    message: str
