"""What clients can read: the seven context windows of the newest run and of any run, and the reports and plots of every run."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource
from mcp_types import Resource

from ..engine.errors import InvalidInput, MleStarError, NotFound
from ..engine.run import RunFolder, list_runs, newest_run, open_run
from ..engine.windows import TITLES, read_window, render, window_address
from .run_state import reports_of, run_state
from .settings import Settings
from .tracing import add_facts

MARKDOWN, JSON, HTML, CSV, PNG = "text/markdown", "application/json", "text/html", "text/csv", "image/png"
LISTED_RUNS = 10
"""The newest runs whose reports are listed; those of all others are read by their addresses all the same."""
_RUN = "mlestar://runs/{run_id}"
RUN_WINDOW = re.compile(r"context7://runs/(?P<run_id>[^/]+)/windows/(?P<number>[^/]+)")
_PLOT = re.compile(r"[a-z_]{1,40}")

log = logging.getLogger(__name__)


Content = TypeVar("Content", str, bytes)


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
    async def window(run_id: str, number: str) -> str:
        return run_window(home, run_id, number)

    @server.resource(
        f"{_RUN}/plots/{{name}}.png",
        name="plot",
        title="Plot of a run",
        description="A plot of the validation report as an image: estimates, progress, impacts, importance, predictions.",
        mime_type=PNG,
    )
    def plot(run_id: str, name: str) -> bytes:
        return _told(lambda: _plot(_opened(home, run_id), name))

    for document in _DOCUMENTS:
        server.resource(
            f"{_RUN}/{document.path}",
            name=document.name,
            title=document.title,
            description=document.description,
            mime_type=document.mime_type,
        )(_reader(document, home))


def run_window(home: Path, run_id: str, number: str) -> str:
    """A window of a run as text. Quick enough for the event loop: it is done before a thread had got its turn."""
    return _told(lambda: render(read_window(_opened(home, run_id).journal, _whole_number(number))))


def listed(home: Path) -> list[Resource]:
    """Reports, files and plots of the newest runs, as far as there are any."""
    found: list[Resource] = []
    for run in list_runs(home)[:LISTED_RUNS]:
        try:
            found += _listed(run)
        except (OSError, sqlite3.Error):
            # A run that is just being made or removed, or is damaged; the others are listed all the same.
            log.debug("%s could not be read", run.run_id, exc_info=True)
    return found


def _listed(run: RunFolder) -> list[Resource]:
    address = _RUN.replace("{run_id}", run.run_id)
    documents = [
        Resource(
            uri=f"{address}/{document.path}",
            name=f"{run.run_id}/{document.path}",
            title=f"{document.title.removesuffix(' of a run')} of {run.run_id}",
            mime_type=document.mime_type,
        )
        for document in _DOCUMENTS
        if document.listed_for(run)
    ]
    plots = [
        Resource(uri=f"{address}/plots/{name}.png", name=f"{run.run_id}/plots/{name}.png", mime_type=PNG)
        for name in plots_of(run)
    ]
    return [*documents, *plots]


def plots_of(run: RunFolder) -> list[str]:
    """Names of the plots that `validate` drew."""
    return sorted(path.stem for path in run.plots_path.glob("*.png") if _PLOT.fullmatch(path.stem))


def _plot(run: RunFolder, name: str) -> bytes:
    names = plots_of(run)
    if name not in names:
        there = f"its plots are {', '.join(names)}" if names else f"validate(run_id={run.run_id!r}) draws them"
        raise NotFound(f"{run.run_id} has no plot {name[:40]!r}; {there}")
    return (run.plots_path / f"{name}.png").read_bytes()


def _opened(home: Path, run_id: str) -> RunFolder:
    run = open_run(home, run_id)
    add_facts(run_id=run_id)
    return run


def _reader(document: _Document, home: Path) -> Callable[[str], str]:
    def read(run_id: str) -> str:
        return _told(lambda: document.read(_opened(home, run_id)))

    return read


async def _newest_window(settings: Settings, number: int) -> str:
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


def _has_written(name: str) -> Callable[[RunFolder], bool]:
    return lambda run: (run.reports_path / name).is_file()


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


def _told(read: Callable[[], Content]) -> Content:
    """Turn our errors into protocol errors that carry their text."""
    try:
        return read()
    except (NotFound, InvalidInput) as error:
        raise ResourceNotFoundError(str(error)) from error
    except MleStarError as error:
        raise ResourceError(str(error)) from error


@dataclass(frozen=True)
class _Document:
    """What clients read of a run at `mlestar://runs/{run_id}/` and the path, and whether a run's is listed."""

    path: str
    name: str
    title: str
    description: str
    mime_type: str
    read: Callable[[RunFolder], str]
    listed_for: Callable[[RunFolder], bool]


_DOCUMENTS = (
    _Document(
        "report", "report", "Reports of a run", "The newest report of every step that has finished, by tool.", JSON,
        lambda run: json.dumps(reports_of(run), indent=1),
        lambda _: True,
    ),
    _Document(
        "state", "state", "A run as it stands",
        "The job at work with its progress, and every report so far; what the run's page shows.", JSON,
        lambda run: json.dumps(run_state(run), indent=1),
        lambda _: False,
    ),
    _Document(
        "report.html", "report_html", "Validation report of a run", "The page that validate wrote, with plots.", HTML,
        report_page,
        _has_written("report.html"),
    ),
    _Document(
        "leaderboard.csv", "leaderboard", "Leaderboard of a run",
        "Every scored solution, best first, as validate wrote it.", CSV,
        lambda run: _written(run, "leaderboard.csv"),
        _has_written("leaderboard.csv"),
    ),
    _Document(
        "ablation.json", "ablation", "Ablation of a run",
        "Every change that run_ablation measured, with its interval and corrected p value.", JSON,
        lambda run: json.dumps(_ablation(run), indent=1),
        lambda run: run.journal.last("ablation") is not None,
    ),
)  # fmt: skip
