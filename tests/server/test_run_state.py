"""The live page: what it is told, that it needs nothing from elsewhere, and that hosts find it."""

from __future__ import annotations

import json
import re

import pytest
from mcp.client import Client
from mle_star.engine.run import RunFolder
from mle_star.server.app import build_server
from mle_star.server.run_state import PAGE_URI, run_page, run_state
from mle_star.server.settings import Settings

pytestmark = pytest.mark.anyio


async def test_a_host_finds_the_page_and_the_tools_that_it_shows(settings: Settings) -> None:
    async with Client(build_server(settings)) as client:
        page = (await client.read_resource(PAGE_URI)).contents[0]
        tools = (await client.list_tools()).tools
    assert page.mime_type == "text/html;profile=mcp-app"
    assert page.text == run_page()  # type: ignore[union-attr]
    bound = {tool.name for tool in tools if (tool.meta or {}).get("ui", {}).get("resourceUri") == PAGE_URI}
    assert {"profile_dataset", "build_baselines", "validate", "get_run"} <= bound
    assert "list_runs" not in bound


async def test_the_page_loads_nothing_and_never_sets_markup() -> None:
    page = run_page()
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    for never in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "<link", "src="):
        assert never not in page


async def test_the_state_of_a_run_grows_with_its_reports(settings: Settings, run: RunFolder) -> None:
    assert run_state(run)["status"] == ""
    run.journal.append("profile", {"target": "y", "task": {"kind": "binary", "metric": "roc_auc"}})
    run.journal.append("report", {"tool": "profile_dataset", "report": {"summary": "a table"}})
    run.journal.append("report", {"tool": "build_baselines", "report": {"summary": "old"}})
    run.journal.append("report", {"tool": "build_baselines", "report": {"summary": "new"}})
    state = run_state(run)
    assert (state["status"], state["target"], state["metric"], state["summary"]) == ("finished", "y", "roc_auc", "new")
    assert state["step"] == ""
    assert list(state["reports"]) == ["profile_dataset", "build_baselines"]
    async with Client(build_server(settings)) as client:
        read = (await client.read_resource(f"mlestar://runs/{run.run_id}/state")).contents[0].text  # type: ignore[union-attr]
    assert json.loads(read) == state
