"""The server in memory, driven by the official client in both protocol eras; jobs are real processes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from mle_star.engine.run import create_run
from mle_star.engine.windows import add_entry
from mle_star.server.app import INSTRUCTIONS, ORDER, RESOURCE_NOT_FOUND, build_server
from mle_star.server.settings import Settings

pytestmark = pytest.mark.anyio
Era = Literal["auto", "legacy"]
CHARACTERS_PER_TOKEN = 3.5
MOST_LIST_TOKENS = 6_000


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    async with Client(build_server(settings), mode=request.param) as client:
        yield client


def text_of(result: Any) -> str:
    return str(result.content[0].text)


async def test_every_tool_is_listed_in_workflow_order_within_the_token_limit(client: Client) -> None:
    listed = await client.list_tools()
    assert [tool.name for tool in listed.tools][: len(ORDER)] == list(ORDER)
    tokens = len(listed.model_dump_json(by_alias=True, exclude_none=True)) / CHARACTERS_PER_TOKEN
    assert tokens <= MOST_LIST_TOKENS


async def test_annotations_are_complete(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        assert tool.title
        assert tool.annotations is not None
        hints = tool.annotations.model_dump(exclude={"title"}, exclude_none=True)
        assert len(hints) == 4, tool.name


async def test_the_server_process_loads_no_ml_library() -> None:
    probe = (
        "import sys\nfrom mle_star.server.app import build_server\nfrom mle_star.server.settings import Settings\n"
        "build_server(Settings())\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'scipy', 'lightgbm', 'xgboost', 'catboost', 'optuna', 'joblib', 'pyarrow',"
        " 'matplotlib', 'diskcache'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)\n"
    )
    done = await anyio.run_process([sys.executable, "-c", probe], check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("profile_dataset", {"path": "/etc/hosts", "target": "y"}, "outside the allowed folders"),
        ("profile_dataset", {"path": "missing.csv"}, "target is required"),
        ("profile_dataset", {"path": "a.csv", "target": "y", "time_budget_s": 0}, "above 0 and at most 86,400"),
        ("profile_dataset", {"path": "a.csv", "target": "y", "time_budget_s": -5}, "above 0 and at most 86,400"),
        ("profile_dataset", {"path": "a.csv", "target": "y", "task": "rank"}, "'binary'"),
        ("build_baselines", {"run_id": "run_nobody_0001"}, "no run is called run_nobody_0001"),
        ("build_baselines", {"run_id": "../../etc"}, "expected a run_id like"),
        ("build_baselines", {}, "there is no run yet"),
        ("get_run", {"run_id": "run_nobody_0001"}, "no run is called"),
        ("get_run", {"runid": "x"}, "did you mean run_id?"),
        ("context7_update", {"window": 8, "content": "note"}, "window should be at least 1 and at most 7, got 8"),
        ("context7_update", {"window": 1, "content": "n", "priority": 9}, "at least 0 and at most 5, got 9"),
        ("list_runs", {"limit": 0}, "at least 1 and at most 200"),
    ],
)
async def test_bad_input_is_a_tool_error_in_plain_words(
    client: Client, home: Path, tool: str, arguments: dict[str, Any], said: str
) -> None:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert said in text_of(result)
    for never in ("Traceback", "pydantic", "ValidationError", "\n"):
        assert never not in text_of(result)
    assert not list(home.glob("runs/*"))


async def test_the_seven_windows_are_listed_and_read_before_there_is_a_run(client: Client) -> None:
    listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
    windows = [uri for uri in listed if uri.startswith("context7:")]
    assert windows == [f"context7://windows/{number}" for number in range(1, 8)]
    for uri in windows:
        contents = (await client.read_resource(uri)).contents
        assert "profile_dataset" in contents[0].text  # type: ignore[union-attr]


async def test_windows_and_reports_of_a_run_are_resources(client: Client, home: Path) -> None:
    run = create_run(home, "note")
    add_entry(run.journal, 3, "Try target encoding.", 4, "agent", "note")
    run.journal.append("report", {"tool": "refine", "report": {"summary": "kept one"}})
    for uri in ("context7://windows/3", f"context7://runs/{run.run_id}/windows/3"):
        text = (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
        assert "Try target encoding." in text
    text = (await client.read_resource(f"mlestar://runs/{run.run_id}/report")).contents[0].text  # type: ignore[union-attr]
    assert json.loads(text) == {"refine": {"summary": "kept one"}}


@pytest.mark.parametrize(
    "uri",
    [
        "context7://windows/8",
        "context7://runs/run_nobody_0001/windows/1",
        "context7://runs/run_note_0001/windows/x",
        "mlestar://runs/..%2F..%2Fetc/report",
        "mlestar://runs/run_note_0001/report.html",
        "other://thing",
    ],
)
async def test_an_unknown_resource_is_the_protocols_error(client: Client, home: Path, uri: str) -> None:
    create_run(home, "note")
    with pytest.raises(MCPError) as refusal:
        await client.read_resource(uri)
    assert refusal.value.code == unknown_resource(client)
    assert refusal.value.error.data == {"uri": uri}
    assert str(home) not in str(refusal.value)


def unknown_resource(client: Client) -> int:
    """The code that the protocol in use has for it."""
    return RESOURCE_NOT_FOUND if client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS else INVALID_PARAMS


async def test_prompts_are_listed_and_filled_in(client: Client) -> None:
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert len(prompts) >= 7
    assert "mle_star" in prompts
    filled = await client.get_prompt("mle_star", {"dataset": "churn.csv", "target": "Churn"})
    assert "churn.csv" in filled.messages[0].content.text  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "arguments"), [("nobody", {}), ("mle_star", {}), ("mle_star", {"colour": "red"})])
async def test_an_unknown_prompt_or_argument_is_the_protocols_error(
    client: Client, name: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(MCPError) as refusal:
        await client.get_prompt(name, arguments)
    assert refusal.value.code == INVALID_PARAMS


async def test_an_unknown_tool_is_the_protocols_error_and_names_those_there_are(client: Client) -> None:
    with pytest.raises(MCPError, match="profile_dataset") as refusal:
        await client.call_tool("nobody", {})
    assert refusal.value.code == INVALID_PARAMS


async def test_a_client_discovers_what_is_offered(settings: Settings) -> None:
    async with Client(build_server(settings)) as client:
        found = client.session.discover_result
    assert found is not None
    assert found.supported_versions == list(MODERN_PROTOCOL_VERSIONS)
    assert found.instructions == INSTRUCTIONS
    offered = found.capabilities
    assert offered.resources is not None
    assert (offered.resources.subscribe, offered.resources.list_changed) == (True, True)
    assert None not in (offered.tools, offered.prompts, offered.completions)
    assert set(offered.extensions or {}) == {"io.modelcontextprotocol/ui", "io.modelcontextprotocol/tasks"}


def test_the_entry_for_mcp_dev_loads_outside_its_package(tmp_path: Path) -> None:
    entry = Path(__file__).resolve().parents[2] / "server" / "dev.py"
    probe = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('server_module', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
        "assert module.server.name == 'mle-star'\n"
        "assert module.server.dependencies == ['mcp[cli]'], 'mcp run needs it in the environment that mcp dev makes'\n"
    )
    subprocess.run([sys.executable, "-c", probe, str(entry)], check=True, cwd=tmp_path)


async def test_what_a_step_wrote_is_a_resource_and_before_that_names_the_call(client: Client, home: Path) -> None:
    run = create_run(home, "artefacts")
    for name, call in (("leaderboard.csv", "validate"), ("ablation.json", "run_ablation"), ("report.html", "validate")):
        with pytest.raises(MCPError, match=call) as refused:
            await client.read_resource(f"mlestar://runs/{run.run_id}/{name}")
        assert refused.value.error.code == unknown_resource(client)
    run.reports_path.mkdir()
    (run.reports_path / "leaderboard.csv").write_text("rank,model\n1,lightgbm\n", encoding="utf-8")
    run.journal.append("ablation", {"rows": [{"block": "model.lightgbm"}]})
    leaderboard = (await client.read_resource(f"mlestar://runs/{run.run_id}/leaderboard.csv")).contents[0]
    ablation = (await client.read_resource(f"mlestar://runs/{run.run_id}/ablation.json")).contents[0]
    assert (leaderboard.mime_type, leaderboard.text) == ("text/csv", "rank,model\n1,lightgbm\n")  # type: ignore[union-attr]
    assert json.loads(ablation.text)["rows"][0]["block"] == "model.lightgbm"  # type: ignore[union-attr]


async def test_a_plot_is_an_image_and_nothing_else_of_the_folder_is_given_away(client: Client, home: Path) -> None:
    run = create_run(home, "plots")
    address = f"mlestar://runs/{run.run_id}/plots"
    with pytest.raises(MCPError, match="validate"):
        await client.read_resource(f"{address}/progress.png")
    run.plots_path.mkdir(parents=True)
    (run.plots_path / "progress.png").write_bytes(b"\x89PNG picture")
    (run.path / "secret.png").write_bytes(b"secret")
    picture = (await client.read_resource(f"{address}/progress.png")).contents[0]
    assert picture.mime_type == "image/png"
    assert base64.b64decode(picture.blob) == b"\x89PNG picture"  # type: ignore[union-attr]
    listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
    assert {f"{address}/progress.png", f"mlestar://runs/{run.run_id}/report"} <= listed
    for name in ("..%2F..%2Fsecret", "../../secret", "nothing", "progress.png"):
        with pytest.raises(MCPError) as refused:
            await client.read_resource(f"{address}/{name}.png")
        assert refused.value.error.code == unknown_resource(client)
