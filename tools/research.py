"""What the research stage left in the journal, as suggestions that the engine can execute. No ML import."""

from __future__ import annotations

from ..engine.errors import InvalidInput
from ..engine.run import RunFolder
from ..engine.solution import Block, Suggestion


def ranked_suggestions(run: RunFolder) -> list[Suggestion]:
    """Blocks that `search_sota` ranked for this run, best first; empty before it ran."""
    entry = run.journal.last("research")
    found: list[Suggestion] = []
    for body in entry.body["blocks"] if entry else []:
        try:
            suggestion = Suggestion(Block.from_json(body), tuple(body.get("learners") or ()))
        except InvalidInput:
            continue
        if suggestion not in found:
            found.append(suggestion)
    return found
