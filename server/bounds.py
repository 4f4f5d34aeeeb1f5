"""The bounds of a job that are kept from outside: its time, its memory, the disk; and the disk before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..engine.errors import Failure, MleStarError
from .memory import group_memory_mb

OVERRUN_SHARE, OVERRUN_S = 0.15, 10.0
"""A job past its budget by this share and these seconds is stuck, and is killed."""
HUNG_S = 60.0
"""A worker without a sign of life for so long hangs (stopped, or stuck where nothing else runs) and is replaced like a dead one."""
LEAST_FREE_MB = 100
"""Disk that must be free before a job begins: a snapshot, a model and reports of a usual table."""
STOP_BELOW_MB = 20
"""A job is ended before the disk is quite full, so that its end, and what others write, can still be recorded."""


class DiskFull(MleStarError, OSError):
    """Too little disk is free for work that writes."""


def latest_end(now: float, budget_s: float) -> float:
    """When a job that begins now has overrun its budget."""
    return now + budget_s * (1 + OVERRUN_SHARE) + OVERRUN_S


def overrun(tool: str, budget_s: float) -> Failure:
    """Why a job is ended that did not stop by itself."""
    return Failure(
        "timeout",
        f"{tool} did not stop at its budget of {budget_s:.0f} s and was ended; what it had finished is kept. "
        "Call it again with a larger time_budget_s",
    )


def outgrown(tool: str, group: int, limit_mb: int) -> Failure | None:
    """Why a job is ended that fills more memory than it may; None while it does not."""
    used_mb = group_memory_mb(group)
    if used_mb <= limit_mb:
        return None
    return Failure(
        "memory",
        f"{tool} filled {used_mb:,.0f} MB, more than the {limit_mb:,} MB one job may use, and was ended; what it had finished "
        "is kept. Use fewer rows or columns, or raise MLE_STAR_MEMORY_MB",
    )


def disk_ran_low(tool: str, home: Path) -> Failure | None:
    """Why a job is ended that has nearly filled the disk; None while there is room."""
    free_mb = _free_mb(home)
    if free_mb >= STOP_BELOW_MB:
        return None
    return Failure(
        "error",
        f"{tool} was ended because only {free_mb:,.0f} MB are free on the disk of the home folder; what it had finished is kept. "
        "Free some space, then make the same call again: it resumes",
    )


def check_disk(home: Path) -> None:
    """Raise `DiskFull` where a job would hardly have room for what it writes."""
    free_mb = _free_mb(home)
    if free_mb < LEAST_FREE_MB:
        raise DiskFull(
            f"only {free_mb:,.0f} MB are free on the disk of the home folder, and a job needs {LEAST_FREE_MB} MB; free some space, "
            "or set MLE_STAR_HOME to a folder on another disk, then call again"
        )


def _free_mb(home: Path) -> float:
    try:
        return float(shutil.disk_usage(home).free / 2**20)
    except OSError:
        # A folder that is gone shows in the work itself, with its own message.
        return float("inf")
