"""The one place that turns an exception into what a client is told: one short paragraph, never a traceback or a foreign path."""

from __future__ import annotations

import difflib
import errno
import sqlite3
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..engine.errors import DeadlinePassed, Failure, FailureKind, InvalidInput, MleStarError, NotFound, Refused

MOST_NAMED = 3
"""Argument errors told at once; the next call shows the rest."""
_SHOWN = 80
_SQLITE_FULL = {
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMOPEN",
    "SQLITE_IOERR_SHMMAP",
}


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
    # Even reading needs a little room, for what SQLite shares between its readers.
    if not isinstance(error, sqlite3.Error):
        return False
    return getattr(error, "sqlite_errorname", "") in _SQLITE_FULL or "disk is full" in str(error)


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


def _argument_sentence(name: str, item: dict[str, Any], known: Mapping[str, FieldInfo]) -> str:
    if item["type"] == "missing":
        return f"{name} is required"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return f"there is no argument {_cut(name)}" + (
            f"; did you mean {near[0]}?" if near else f" (accepted: {', '.join(known)})"
        )
    if isinstance(item["input"], str) and not item["input"].strip():
        return f"{name} must not be empty, got {_cut(repr(item['input']))}"
    if len(item["loc"]) == 1 and (accepted := _accepted(item["type"], known[name])):
        return f"{name} should be {accepted}, got {_cut(repr(item['input']))}"
    where = ".".join(str(part) for part in item["loc"] if not _is_type_name(str(part))) or name
    expected = str(item["msg"]).removeprefix("Value error, ")
    rule = expected.removeprefix("Input ") if expected.startswith("Input ") else f"is refused: {expected}"
    return f"{_cut(where)} {rule[:300]}, got {_cut(repr(item['input']))}"


def _accepted(error: str, field: FieldInfo) -> str:
    """All that a field accepts, where pydantic's text names only the bound that was broken, or a pattern."""
    if error == "string_pattern_mismatch" and field.description:
        return field.description.rstrip(".")
    if error not in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return ""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(rule, key):,}" for rule in field.metadata for key, word in words.items() if hasattr(rule, key)
    ]
    return " and ".join(limits)


def _is_type_name(part: str) -> bool:
    """Pydantic names the branch of a union in the location."""
    return part in {"str", "int", "float", "bool", "none", "tuple"} or "[" in part


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
