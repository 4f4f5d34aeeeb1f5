"""The prompts as the protocol sees them, with the protocol's error for a name or an argument that does not exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from ..engine.errors import InvalidInput
from .prompts import PromptText, load_prompts


def served_prompts() -> list[Prompt]:
    """Return all shipped prompts."""
    return [
        Prompt(
            name=text.name,
            title=text.title,
            description=text.description,
            arguments=[
                PromptArgument(name=argument.name, description=argument.description, required=argument.required)
                for argument in text.arguments
            ],
            fn=_render(text),
            context_kwarg=None,
        )
        for text in load_prompts().values()
    ]


def check_prompt(name: str, arguments: dict[str, Any] | None, served: Sequence[str]) -> None:
    """Raise the protocol's "invalid params" for a prompt that is not served, or for arguments a shipped one cannot take."""
    if name not in served:
        raise MCPError(code=INVALID_PARAMS, message=f"no prompt is called {name[:60]}; accepted: {', '.join(served)}")
    text = load_prompts().get(name)
    try:
        if text is not None:
            text.render(arguments)
    except InvalidInput as error:
        raise MCPError(code=INVALID_PARAMS, message=str(error)) from error


def _render(text: PromptText) -> Callable[..., str]:
    def render(**values: str) -> str:
        return text.render(values)

    return render
