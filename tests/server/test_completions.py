"""Completions offer what exists and may be read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PromptReference, ResourceTemplateReference
from mle_star.engine.run import create_run
from mle_star.server.app import build_server
from mle_star.server.settings import Settings

pytestmark = pytest.mark.anyio
WINDOW = ResourceTemplateReference(type="ref/resource", uri="context7://runs/{run_id}/windows/{number}")
PLAYBOOK = PromptReference(type="ref/prompt", name="mle_star")


async def values(
    settings: Settings,
    ref: PromptReference | ResourceTemplateReference,
    name: str,
    typed: str,
    chosen: dict[str, str] | None = None,
) -> list[str]:
    async with Client(build_server(settings)) as client:
        result = await client.complete(ref, {"name": name, "value": typed}, chosen)
        return list(result.completion.values)


async def test_run_handles_are_offered_newest_first(settings: Settings, home: Path) -> None:
    made = [create_run(home, name).run_id for name in ("apples", "pears", "apples")]
    assert await values(settings, WINDOW, "run_id", "") == made[::-1]
    assert await values(settings, WINDOW, "run_id", "run_app") == [made[2], made[0]]
    assert await values(settings, WINDOW, "number", "") == list("1234567")


@pytest.mark.parametrize(
    "unknown",
    [
        PromptReference(type="ref/prompt", name="nobody"),
        ResourceTemplateReference(type="ref/resource", uri="context7://nothing/{number}"),
    ],
)
async def test_what_is_not_served_cannot_be_completed(
    settings: Settings, unknown: PromptReference | ResourceTemplateReference
) -> None:
    async with Client(build_server(settings)) as client:
        with pytest.raises(MCPError) as refusal:
            await client.complete(unknown, {"name": "run_id", "value": ""})
    assert refusal.value.code == INVALID_PARAMS


async def test_more_than_the_limit_is_said(settings: Settings, home: Path) -> None:
    for _ in range(103):
        create_run(home, "many")
    async with Client(build_server(settings)) as client:
        completion = (await client.complete(WINDOW, {"name": "run_id", "value": "run_"})).completion
    assert (len(completion.values), completion.total, completion.has_more) == (100, 103, True)


async def test_tables_of_the_allowed_folders_and_their_columns(settings: Settings, data: Path) -> None:
    table = data / "shop.csv"
    table.write_text("age;town;Bought\n1;a;yes\n", encoding="utf-8")
    (data / "notes.txt").write_text("x", encoding="utf-8")
    assert await values(settings, PLAYBOOK, "dataset", "") == [str(table.resolve())]
    assert await values(settings, PLAYBOOK, "target", "b", {"dataset": str(table)}) == ["Bought"]
    assert await values(settings, PLAYBOOK, "target", "", {"dataset": str(table)}) == ["Bought", "town", "age"]


async def test_nothing_is_told_of_files_outside_the_allowed_folders(
    settings: Settings, data: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("password,y\n1,2\n", encoding="utf-8")
    (data / "link.csv").symlink_to(secret)
    for path in (secret, data / "link.csv", data / "missing.csv", Path("/etc/passwd")):
        assert await values(settings, PLAYBOOK, "target", "", {"dataset": str(path)}) == []


async def test_components_are_offered_as_blocks_to_refine(settings: Settings) -> None:
    refinement = PromptReference(type="ref/prompt", name="refinement")
    assert "encode.onehot" in await values(settings, refinement, "block", "")
    assert await values(settings, refinement, "block", "model.light") == ["model.lightgbm"]
