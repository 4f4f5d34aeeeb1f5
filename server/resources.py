"""What clients can read: the seven context windows of the newest run and of any run, and the reports of every step."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource

from ..engine.errors import InvalidInput, MleStarError, NotFound
from ..engine.run import RunFolder, newest_run, open_run
from ..engine.windows import TITLES, read_window, render
from .run_state import reports_of, run_state
from .settings import Settings

MARKDOWN, JSON, HTML, CSV = "text/markdown", "application/json", "text/html", "text/csv"


def add_resources(server: MCPServer[Any], settings: Settings) -> None:
    """Register the windows and the run resources."""
    home = settings.home
    for number, title in TITLES.items():
        server.add_resource(
            FunctionResource(
                uri=f"context7://windows/{number}",
                name=f"window_{number}_{title}",
                title=f"Window {number}: {title}",
                description=f"Context window {number} ({title}) of the newest run.",
                mime_type=MARKDOWN,
                fn=partial(_newest_window, settings, number),
            )
        )

    @server.resource(
        "context7://runs/{run_id}/windows/{number}",
        name="window",
        title="Context window of a run",
        description="Windows 1 scope, 2 data, 3 research, 4 foundation, 5 refinement, 6 ensemble, 7 validation.",
        mime_type=MARKDOWN,
    )
    def window(run_id: str, number: str) -> str:
        return _told(lambda: render(read_window(open_run(home, run_id).journal, _whole_number(number))))

    @server.resource(
        "mlestar://runs/{run_id}/report",
        name="report",
        title="Reports of a run",
        description="The newest report of every step that has finished, by tool.",
        mime_type=JSON,
    )
    def report(run_id: str) -> str:
        return _told(lambda: json.dumps(reports_of(open_run(home, run_id)), indent=1))

    @server.resource(
        "mlestar://runs/{run_id}/state",
        name="state",
        title="A run as it stands",
        description="The job at work with its progress, and every report so far; what the run's page shows.",
        mime_type=JSON,
    )
    def state(run_id: str) -> str:
        return _told(lambda: json.dumps(run_state(open_run(home, run_id)), indent=1))

    @server.resource(
        "mlestar://runs/{run_id}/report.html",
        name="report_html",
        title="Validation report of a run",
        description="The page that validate wrote, with plots.",
        mime_type=HTML,
    )
    def report_html(run_id: str) -> str:
        return _told(lambda: report_page(open_run(home, run_id)))

    @server.resource(
        "mlestar://runs/{run_id}/leaderboard.csv",
        name="leaderboard",
        title="Leaderboard of a run",
        description="Every scored solution, best first, as validate wrote it.",
        mime_type=CSV,
    )
    def leaderboard(run_id: str) -> str:
        return _told(lambda: _written(open_run(home, run_id), "leaderboard.csv"))

    @server.resource(
        "mlestar://runs/{run_id}/ablation.json",
        name="ablation",
        title="Ablation of a run",
        description="Every change that run_ablation measured, with its interval and corrected p value.",
        mime_type=JSON,
    )
    def ablation(run_id: str) -> str:
        return _told(lambda: json.dumps(_ablation(open_run(home, run_id)), indent=1))


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
