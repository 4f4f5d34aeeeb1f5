"""How a report goes to a client: as structured content without empty fields, never above the size clients accept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent

from ..engine.windows import TITLES, window_address

MOST_CHARACTERS = 40_000
"""Clients drop or park longer results."""
WRITTEN_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "run_ablation": (("ablation.json", "application/json"),),
    "validate": (("report.html", "text/html"), ("leaderboard.csv", "text/csv")),
}
"""Files that a step writes beside its plots, with their types; clients read them as `mlestar://runs/{run_id}/…`."""
ALWAYS_SENT = ("run_id", "status", "summary", "next")
"""Fields of a report that are sent even where they are empty."""


def tool_result(report: Mapping[str, Any], tool: str = "") -> CallToolResult:
    """Return a report as the answer of a tool.

    The text repeats the structure for clients that read only text; links lead to the windows it changed and the files `tool` wrote.
    """
    structured = fit(
        {name: _without_none(value) for name, value in report.items() if name in ALWAYS_SENT or _says(value)}
    )
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    content: list[ContentBlock] = [TextContent(type="text", text=text), *_links(structured, tool)]
    return CallToolResult(content=content, structured_content=structured)


def _links(report: Mapping[str, Any], tool: str) -> list[ResourceLink]:
    run_id = report.get("run_id")
    if not run_id or report.get("status") != "finished":
        return []
    windows = [
        ResourceLink(
            uri=window_address(number, run_id),
            name=f"window_{number}_{TITLES[number]}",
            mime_type="text/markdown",
        )
        for number in report.get("windows_changed", [])
    ]
    # get_run tells of the run's newest job, and so links to what that one wrote.
    wrote = WRITTEN_BY.get(report.get("job", "") if tool == "get_run" else tool, ())
    files = [*wrote, *((f"plots/{name}.png", "image/png") for name in report.get("plots", []))]
    links = [
        ResourceLink(uri=f"mlestar://runs/{run_id}/{name}", name=name, mime_type=mime_type) for name, mime_type in files
    ]
    return [*windows, *links]


def tool_error(message: str) -> CallToolResult:
    """Return a refusal or failure for the model to read."""
    return CallToolResult(content=[TextContent(type="text", text=message)], is_error=True)


def fit(report: dict[str, Any], most: int = MOST_CHARACTERS) -> dict[str, Any]:
    """Halve the longest list, table or text of a report until it fits, and say so in its notes."""
    notes: dict[str, str] = {}
    while len(json.dumps(report)) > most:
        name = max((name for name in report if name != "notes"), key=lambda name: len(json.dumps(report[name])))
        value = report[name]
        total = notes.get(name, f"{len(value):,}").rpartition(" of ")[2]
        half = len(value) // 2
        report[name] = dict(list(value.items())[:half]) if isinstance(value, dict) else value[:half]
        notes[name] = f"{name}: the first {half:,} of {total}"
    if notes:
        report["notes"] = [*report.get("notes", []), *notes.values()]
    return report


def _says(value: Any) -> bool:
    return value is not None and value not in ("", [], {})


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
