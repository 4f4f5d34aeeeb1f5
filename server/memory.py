"""How much memory a process group holds. Reads /proc where there is one, else asks `ps`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def group_memory_mb(leader: int) -> float:
    """Resident memory of the leader and all its descendants in MB; 0.0 when it is gone.

    Pages that several of them share are counted once for each, so the figure is an upper bound.
    """
    if (_PROC / "self" / "statm").exists():
        return _descendants_mb(leader)
    return _listed_mb(leader)


def _descendants_mb(leader: int) -> float:
    pages = 0
    pending = [leader]
    while pending:
        process = _PROC / str(pending.pop())
        try:
            pages += int((process / "statm").read_text(encoding="ascii").split()[1])
            for children in process.glob("task/*/children"):
                pending.extend(int(pid) for pid in children.read_text(encoding="ascii").split())
        except (OSError, IndexError, ValueError):
            # It is leaving: its files go one after the other, and some read empty first.
            continue
    return pages * _PAGE / 2**20


def _listed_mb(group: int) -> float:
    listing = subprocess.run(
        ["ps", "-axo", "pgid=,rss="],  # noqa: S607 - ps stands at different places on different systems
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (line.split() for line in listing.stdout.splitlines())
    return sum(int(row[1]) for row in rows if len(row) == 2 and row[0] == str(group)) / 1024
