"""What the research stage left in the journal, as blocks that the engine can execute. No ML import."""

from __future__ import annotations

from ..engine.errors import InvalidInput
from ..engine.run import RunFolder
from ..engine.solution import Block


def ranked_blocks(run: RunFolder, at_most: int | None = None) -> list[Block]:
    """Blocks that `search_sota` ranked for this run, best first; empty before it ran."""
    entry = run.journal.last("research")
    blocks: list[Block] = []
    for body in entry.body["blocks"] if entry else []:
        try:
            block = Block.from_json(body)
        except InvalidInput:
            continue
        if block not in blocks:
            blocks.append(block)
    return blocks[:at_most]
