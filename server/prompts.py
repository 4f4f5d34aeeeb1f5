"""The MCP prompts: one Markdown file each in `prompts/`, TOML front matter between `+++` lines, then the text.

A placeholder `{{name}}` is replaced by the argument of that name, in one pass, so that a value can never bring in another
placeholder. Values come from a client: they are cut, put on one line and shown as quoted data.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..engine.errors import InvalidInput
from ..engine.names import CONTROL

PROMPTS_FOLDER = Path(__file__).resolve().parent.parent / "prompts"
MAX_ARGUMENT_CHARACTERS = 500

_FENCE = "+++\n"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_CONTROL = re.compile(f"[{CONTROL}`]+")


@dataclass(frozen=True)
class PromptArgument:
    """An argument of a prompt; `default` stands in the text where an optional one is missing."""

    name: str
    description: str
    required: bool = False
    default: str = ""


@dataclass(frozen=True)
class PromptText:
    """A prompt as it is shipped."""

    name: str
    title: str
    description: str
    arguments: tuple[PromptArgument, ...]
    text: str

    def render(self, values: Mapping[str, str | None] | None = None) -> str:
        """Return the text with its arguments filled in.

        Raises
        ------
        InvalidInput
            For a missing required argument, an unknown one, or one that is too long.
        """
        given = {name: value for name, value in (values or {}).items() if value}
        known = {argument.name: argument for argument in self.arguments}
        if unknown := sorted(set(given) - set(known)):
            raise InvalidInput(
                f"the prompt {self.name} takes {', '.join(known) or 'no arguments'}, got {unknown[0][:60]!r}"
            )
        filled = {}
        for name, argument in known.items():
            if argument.required and name not in given:
                raise InvalidInput(f"the prompt {self.name} needs {name}: {argument.description}")
            filled[name] = _quoted(name, given[name]) if name in given else argument.default
        return _PLACEHOLDER.sub(lambda found: filled[found.group(1)], self.text)


@cache
def load_prompts() -> dict[str, PromptText]:
    """Return all shipped prompts by name; raises `ValueError` with the file's name for one that breaks the format."""
    return {
        path.stem: parse_prompt(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(PROMPTS_FOLDER.glob("*.md"))
    }


def parse_prompt(name: str, text: str) -> PromptText:
    """Parse one prompt file; raises `ValueError` that names it and what is wrong with it."""
    head, _, rest = text.partition(_FENCE)
    front, _, body = rest.partition(_FENCE)
    try:
        if head.strip() or not body.strip():
            raise ValueError("expected TOML between two +++ lines and a text after it")
        values = tomllib.loads(front)
        arguments = tuple(PromptArgument(**argument) for argument in values.pop("arguments", ()))
        prompt = PromptText(**values, arguments=arguments, text=body.strip() + "\n")
        if prompt.name != name:
            raise ValueError(f"expected name = file name, got {prompt.name}")
        if stray := set(_PLACEHOLDER.findall(body)) ^ {argument.name for argument in arguments}:
            raise ValueError(f"placeholders and arguments differ: {', '.join(sorted(stray))}")
    except (TypeError, ValueError) as problem:
        raise ValueError(f"prompt {name}: {problem}") from problem
    return prompt


def _quoted(name: str, value: str) -> str:
    if len(value) > MAX_ARGUMENT_CHARACTERS:
        raise InvalidInput(f"expected {name} of at most {MAX_ARGUMENT_CHARACTERS} characters, got {len(value):,}")
    return f"`{_CONTROL.sub(' ', value).strip()}`"
