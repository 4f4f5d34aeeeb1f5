"""What clients can read: the seven context windows of the newest run and of any run, and the reports of every step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource

from ..engine.errors import InvalidInput, MleStarError, NotFound
from ..engine.run import RunFolder, newest_run, open_run
from ..engine.windows import TITLES, read_window, render, window_address
from .run_state import reports_of, run_state
from .settings import Settings

MARKDOWN, JSON, HTML, CSV = "text/markdown", "application/json", "text/html", "text/csv"


def add_resources(server: MCPServer[Any], settings: Settings) -> None:
    """Register the windows and the run resources."""
    home = settings.home
    for number, title in TITLES.items():
        server.add_resource(
            FunctionResource(
                uri=window_address(number),
                name=f"window_{number}_{title}",
                title=f"Window {number}: {title}",
                description=f"Context window {number} ({title}) of the newest run.",
                mime_type=MARKDOWN,
                fn=partial(_newest_window, settings, number),
            )
        )

    @server.resource(
        window_address("{number}", "{run_id}"),
        name="window",
        title="Context window of a run",
        description="Windows 1 scope, 2 data, 3 research, 4 foundation, 5 refinement, 6 ensemble, 7 validation.",
        mime_type=MARKDOWN,
    )
    def window(run_id: str, number: str) -> str:
        return _told(lambda: render(read_window(open_run(home, run_id).journal, _whole_number(number))))

    for document in _DOCUMENTS:
        server.resource(
            f"mlestar://runs/{{run_id}}/{document.path}",
            name=document.name,
            title=document.title,
            description=document.description,
            mime_type=document.mime_type,
        )(_reader(document, home))


def _reader(document: _Document, home: Path) -> Callable[[str], str]:
    def read(run_id: str) -> str:
        return _told(lambda: document.read(open_run(home, run_id)))

    return read


def _newest_window(settings: Settings, number: int) -> str:
    """Before there is a run the window reads as empty, so that a client can list and read all seven at any time."""
    try:
        run = newest_run(settings.home)
    except NotFound as error:
        return f"# Window {number}: {TITLES[number]}\n\nEmpty: {error}"
    return f"<!-- {run.run_id} -->\n{render(read_window(run.journal, number))}"


def _ablation(run: RunFolder) -> dict[str, Any]:
    entry = run.journal.last("ablation")
    if entry is None:
        raise NotFound(f"{run.run_id} has no ablation yet; call run_ablation(run_id={run.run_id!r}) first")
    return entry.body


def report_page(run: RunFolder) -> str:
    """The page that `validate` wrote; raises `NotFound` before it did."""
    return _written(run, "report.html")


def _written(run: RunFolder, name: str) -> str:
    """A file that `validate` writes."""
    path = run.reports_path / name
    if not path.is_file():
        raise NotFound(f"{run.run_id} has no {name} yet; call validate(run_id={run.run_id!r}) first")
    return path.read_text(encoding="utf-8")


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput(f"expected a window from 1 to 7, got {text[:20]!r}") from error


def _told(read: Callable[[], str]) -> str:
    """Turn our errors into protocol errors that carry their text."""
    try:
        return read()
    except (NotFound, InvalidInput) as error:
        raise ResourceNotFoundError(str(error)) from error
    except MleStarError as error:
        raise ResourceError(str(error)) from error


@dataclass(frozen=True)
class _Document:
    """What clients read of a run at `mlestar://runs/{run_id}/` and the path."""

    path: str
    name: str
    title: str
    description: str
    mime_type: str
    read: Callable[[RunFolder], str]


_DOCUMENTS = (
    _Document(
        "report", "report", "Reports of a run", "The newest report of every step that has finished, by tool.", JSON,
        lambda run: json.dumps(reports_of(run), indent=1),
    ),
    _Document(
        "state", "state", "A run as it stands",
        "The job at work with its progress, and every report so far; what the run's page shows.", JSON,
        lambda run: json.dumps(run_state(run), indent=1),
    ),
    _Document(
        "report.html", "report_html", "Validation report of a run", "The page that validate wrote, with plots.", HTML,
        report_page,
    ),
    _Document(
        "leaderboard.csv", "leaderboard", "Leaderboard of a run",
        "Every scored solution, best first, as validate wrote it.", CSV,
        lambda run: _written(run, "leaderboard.csv"),
    ),
    _Document(
        "ablation.json", "ablation", "Ablation of a run",
        "Every change that run_ablation measured, with its interval and corrected p value.", JSON,
        lambda run: json.dumps(_ablation(run), indent=1),
    ),
)  # fmt: skip
