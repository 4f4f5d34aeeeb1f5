"""Completions: run handles, window numbers and plots for resource templates; tables, their columns and components for prompts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio.to_thread
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from ..engine import inventory
from ..engine.errors import MleStarError
from ..engine.run import list_runs, open_run
from ..engine.solution import SLOTS
from ..engine.windows import TITLES
from .headers import column_names
from .resources import plots_of
from .settings import Settings

MOST_VALUES = 100
"""The protocol's limit for one answer."""
TABLE_ENDINGS = (".csv", ".csv.gz", ".tsv", ".parquet", ".feather", ".arrow", ".xlsx")


def add_completions(server: MCPServer[Any], settings: Settings) -> None:
    """Register the handler."""

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        await _check(server, reference)
        chosen = (context.arguments if context else None) or {}
        known = await anyio.to_thread.run_sync(_known, argument.name, chosen, settings)
        values = [value for value in known if value.lower().startswith(argument.value.lower())]
        return Completion(values=values[:MOST_VALUES], total=len(values), has_more=len(values) > MOST_VALUES)


async def _check(server: MCPServer[Any], reference: PromptReference | ResourceTemplateReference) -> None:
    """Raise the protocol's "invalid params" for a prompt or resource that is not served."""
    if isinstance(reference, PromptReference):
        name, served = reference.name, {prompt.name for prompt in await server.list_prompts()}
    else:
        name, served = (
            str(reference.uri),
            {template.uri_template for template in await server.list_resource_templates()},
        )
        served |= {str(resource.uri) for resource in await server.list_resources()}
    if name not in served:
        raise MCPError(code=INVALID_PARAMS, message=f"nothing that can be completed is called {name[:80]}")


def _known(name: str, chosen: Mapping[str, str], settings: Settings) -> list[str]:
    """All values of an argument, the likeliest first; none where anything goes."""
    if name == "run_id":
        return [run.run_id for run in list_runs(settings.home)]
    if name == "number":
        return [str(number) for number in TITLES]
    if name == "name" and "run_id" in chosen:
        with suppress(MleStarError):
            return plots_of(open_run(settings.home, chosen["run_id"]))
    if name == "dataset":
        return _tables(settings)
    if name == "target" and "dataset" in chosen:
        # The last first: the target mostly stands there.
        return column_names(chosen["dataset"], settings)[::-1]
    if name == "block":
        return [f"{slot}.{component}" for slot in SLOTS for component in inventory.names(slot)]
    return []


def _tables(settings: Settings) -> list[str]:
    """Tables that lie in the allowed folders themselves."""
    found: list[str] = []
    for folder in settings.allowed_folders:
        # A folder may be missing or closed to us; the others still count.
        with suppress(OSError):
            files = [path for path in sorted(folder.iterdir()) if path.name.lower().endswith(TABLE_ENDINGS)]
            found += [str(path) for path in files if path.is_file() and folder != settings.home.resolve()]
    return found
