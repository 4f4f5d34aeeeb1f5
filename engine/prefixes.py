"""What the table blocks of a solution made of a fold, kept in memory for the next solution that begins with the same blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict

from .plugins import Transform
from .solution import Block
from .table import Table

Prefix = tuple[Table, Table, list[Transform]]
"""(training rows, validation rows, fitted transforms)"""
PrefixKey = tuple[int, tuple[Block, ...]]
"""(number of the fold, blocks)"""


class PrefixCache:
    """Transformed (training, validation) tables by fold and blocks, least recently used dropped first. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[PrefixKey, tuple[Prefix, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: PrefixKey) -> Prefix | None:
        """Return what is kept for a fold and these blocks, or None."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def put(self, key: PrefixKey, prefix: Prefix) -> None:
        """Keep a prefix, unless it alone is over the limit."""
        size = sum(int(table.frame.memory_usage(index=False).sum()) for table in prefix[:2])
        if size > self._limit:
            return
        with self._lock:
            self._held[key] = (prefix, size)
            self._bytes += size
            while self._bytes > self._limit:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed
