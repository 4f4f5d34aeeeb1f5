"""The one place that turns an exception into what a client is told: one short paragraph, never a traceback or a foreign path."""

from __future__ import annotations

import difflib
import errno
import sqlite3
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from ..engine.errors import DeadlinePassed, Failure, FailureKind, InvalidInput, MleStarError, NotFound, Refused

MOST_NAMED = 3
"""Argument errors told at once; the next call shows the rest."""
_SHOWN = 80


def failure_of(error: BaseException, tool: str, run_id: str) -> Failure:
    """Return what a client is told about an exception that ended a tool.

    Only the texts of our own errors are passed on; anything else is named by its type and left to the log.
    """
    if isinstance(error, MleStarError):
        return Failure(_kind(error), str(error))
    if isinstance(error, ValidationError):
        return Failure("invalid", f"{tool}: {error.error_count()} of the arguments cannot be used")
    if isinstance(error, MemoryError):
        return Failure(
            "memory",
            f"{tool} ran out of memory; use fewer rows or columns, a smaller time_budget_s or a larger machine",
        )
    if is_disk_full(error):
        return Failure("error", disk_full_message(run_id))
    return Failure("error", unexpected_message(error, tool, run_id))


def _kind(error: MleStarError) -> FailureKind:
    if isinstance(error, DeadlinePassed):
        return "timeout"
    return "invalid" if isinstance(error, (InvalidInput, NotFound, Refused)) else "error"


def is_disk_full(error: BaseException) -> bool:
    """True when a write failed because no space or quota is left."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)


def disk_full_message(run_id: str) -> str:
    """Say what to do about a full disk."""
    where = f" while {run_id or 'the run'} was written"
    return f"the disk of the home folder is full{where}; free some space, then make the same call again: it resumes"


def unexpected_message(error: BaseException, tool: str, run_id: str) -> str:
    """Name an unexpected exception by its type and say where its details are, relative to the home folder."""
    opening = tool == "profile_dataset"
    log = f"logs/{run_id}.log" if opening else f"runs/{run_id}/worker.log"
    where = f"{log} in the home folder" if run_id else "the server's standard error"
    return f"{tool} failed unexpectedly ({type(error).__name__}); the details are in {where}. The same call tries again"


def argument_message(error: ValidationError, tool: str, request: type[BaseModel]) -> str:
    """Rewrite pydantic's lines into one paragraph: what is wrong, what is accepted, what came."""
    told: dict[str, str] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else "arguments"
        told.setdefault(name, _argument_sentence(name, dict(item), request.model_fields))
    shown = list(told.values())[:MOST_NAMED]
    more = f"; and {len(told) - len(shown)} more" if len(told) > len(shown) else ""
    text = "; ".join(shown) + more
    return f"{text}{'' if text.endswith('?') else '.'} Correct this and call {tool} again"


def _argument_sentence(name: str, item: dict[str, Any], known: Iterable[str]) -> str:
    names = list(known)
    if item["type"] == "missing":
        return f"{name} is required"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, names, n=1)
        return f"there is no argument {_cut(name)}" + (
            f"; did you mean {near[0]}?" if near else f" (accepted: {', '.join(names)})"
        )
    where = ".".join(str(part) for part in item["loc"] if not _is_type_name(str(part))) or name
    expected = str(item["msg"]).removeprefix("Value error, ")
    rule = expected.removeprefix("Input ") if expected.startswith("Input ") else f"is refused: {expected}"
    return f"{_cut(where)} {rule[:300]}, got {_cut(repr(item['input']))}"


def _is_type_name(part: str) -> bool:
    """Pydantic names the branch of a union in the location."""
    return part in {"str", "int", "float", "bool", "none", "tuple"} or "[" in part


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
