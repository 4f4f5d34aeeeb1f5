"""context7_update: add the agent's own note to a context window and give back the window after balancing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..engine.windows import (
    CAPACITY_TOKENS,
    MAX_NOTE_CHARACTERS,
    TITLES,
    add_entry,
    read_window,
    render,
    window_address,
)
from .contract import Report, RunRequest, Tool

if TYPE_CHECKING:
    from .workspace import Workspace

_SOURCE = "context7_update"


class ContextRequest(RunRequest):
    """Arguments of `context7_update`."""

    window: Annotated[
        int,
        Field(ge=1, le=7, description=", ".join(f"{number} {title}" for number, title in TITLES.items()) + "."),
    ]
    content: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_NOTE_CHARACTERS,
            pattern=r"\S",
            description="Your note; first sentence = headline.",
        ),
    ]
    priority: Annotated[
        int, Field(ge=0, le=5, description="0: first to be condensed; 4 and 5: kept in full as long as they fit.")
    ] = 3


class ContextReport(Report):
    """The window after balancing."""

    window: int = 0
    title: str = ""
    entry: int = Field(default=0, description="Number of the new entry.")
    tokens: int = Field(default=0, description="Estimate: characters ÷ 3.5.")
    capacity_tokens: int = CAPACITY_TOKENS
    in_full: list[int] = Field(default_factory=list, description="Numbers of entries shown in full, oldest first.")
    condensed: list[int] = Field(default_factory=list)
    not_shown: list[int] = Field(default_factory=list, description="Newest 20 entries that are only in the journal.")
    content: str = Field(default="", description="The window as Markdown, up to about 1,500 tokens.")


_CONTENT_CHARACTERS = 5_000
_NUMBERS = 20


def answer(request: ContextRequest, workspace: Workspace) -> ContextReport:
    """Write the note and return the balanced window."""
    run = workspace.run(request.run_id)
    entry = add_entry(run.journal, request.window, request.content, request.priority, "agent", _SOURCE)
    window = read_window(run.journal, request.window)
    text = render(window)
    resource = window_address(request.window, run.run_id)
    if len(text) > _CONTENT_CHARACTERS:
        # Entries are oldest first, so the end is what was written last.
        text = f"(beginning left out; all of it: {resource})\n…{text[-_CONTENT_CHARACTERS:]}"
    full, condensed, left_out = (
        [item.seq for item in window.in_form(form)] for form in ("full", "headline", "left out")
    )
    form = (
        "in full"
        if entry.seq in full
        else "condensed to its headline"
        if entry.seq in condensed
        else "in the journal only"
    )
    return ContextReport(
        run_id=run.run_id,
        summary=(
            f"Entry {entry.seq} is in window {window.number} ({window.title}) {form}; "
            f"{window.tokens:,} of {CAPACITY_TOKENS:,} tokens."
        ),
        next=f"read {resource}, or go on with the workflow",
        windows_changed=[request.window],
        window=window.number,
        title=window.title,
        entry=entry.seq,
        tokens=window.tokens,
        in_full=full[-_NUMBERS:],
        condensed=condensed[-_NUMBERS:],
        not_shown=left_out[-_NUMBERS:],
        content=text,
    )


TOOL = Tool(
    name="context7_update",
    title="Write into a context window",
    description=(
        "Adds your note to one of the seven context windows of a run, which balance themselves (4,000 tokens each) and let any "
        "agent resume. Milliseconds. Returns the window; next: go on with the workflow."
    ),
    request=ContextRequest,
    report=ContextReport,
    answer=answer,
    idempotent=False,
)
