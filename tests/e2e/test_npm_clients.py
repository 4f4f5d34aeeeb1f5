"""Clients nobody here wrote: the Inspector's command line and Claude Code."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from npm_packages import environment
from scripted_messages_api import scripted_messages_api
from served import COMMAND, arguments, small_table

pytestmark = [pytest.mark.npm, pytest.mark.timeout(600)]

TOOL_IS_ERROR = 5


@pytest.fixture
def table(data: Path) -> Path:
    return small_table(data)


class Inspector:
    """`mcp-inspector --cli` on a served home folder."""

    def __init__(self, modules: Path, home: Path, data: Path) -> None:
        self._modules = modules
        self._server = [COMMAND[0], *arguments(home, data)]

    def __call__(self, era: str, method: str, *options: str) -> subprocess.CompletedProcess[str]:
        variables = ["-e", f"PYTHONPATH={os.environ['PYTHONPATH']}"] if "PYTHONPATH" in os.environ else []
        eras = ["--protocol-era", "modern" if era == "modern" else "legacy"]
        return subprocess.run(
            [
                str(self._modules / "node" / "bin" / "node"),
                str(self._modules / ".bin" / "mcp-inspector"),
                "--cli",
                *variables,
                *self._server,
                *eras,
                "--method",
                method,
                *options,
            ],
            env=environment(self._modules),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def call(self, era: str, tool: str, **given: Any) -> dict[str, Any]:
        """Call a tool and return its report."""
        pairs = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given.items()]
        done = self(era, "tools/call", "--tool-name", tool, *(part for pair in pairs for part in ("--tool-arg", pair)))
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)["structuredContent"]
        return report


@pytest.fixture
def inspector(node_modules: Path, home: Path, table: Path) -> Inspector:
    return Inspector(node_modules, home, table.parent)


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_the_inspector_finds_no_fault_in_any_schema(inspector: Inspector, era: str) -> None:
    done = inspector(era, "tools/list", "--strict")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(json.loads(done.stdout)["tools"]) >= 11


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_the_inspector_lists_and_reads_everything_else_that_is_offered(inspector: Inspector, era: str) -> None:
    for method, options, named in (
        ("prompts/list", (), '"name": "mle_star"'),
        (
            "prompts/get",
            ("--prompt-name", "mle_star", "--prompt-args", "dataset=a.csv", "--prompt-args", "target=y"),
            "a.csv",
        ),
        ("resources/list", (), "context7://windows/7"),
        ("resources/templates/list", (), "mlestar://runs/{run_id}/report.html"),
        ("resources/read", ("--uri", "context7://windows/1"), "# Window 1"),
        ("tools/call", ("--tool-name", "list_runs"), "There is no run yet."),
    ):
        done = inspector(era, method, *options)
        assert done.returncode == 0, f"{method}: {done.stderr}"
        assert named in done.stdout, method


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_the_inspector_calls_all_eight_tools(inspector: Inspector, table: Path, era: str) -> None:
    profile = inspector.call(era, "profile_dataset", path=str(table), target="Churn", time_budget_s=15)
    run_id = profile["run_id"]
    # Each call starts a server of its own, so each waits for its work: what it had begun would end with it.
    for tool, given in (
        ("search_sota", {}),
        ("build_baselines", {"learners": ["linear", "lightgbm"], "time_budget_s": 4, "wait_s": 60}),
        ("run_ablation", {"time_budget_s": 8, "wait_s": 60}),
        ("refine", {"time_budget_s": 6, "iterations": 1, "wait_s": 60}),
        ("build_ensemble", {"time_budget_s": 5, "wait_s": 60}),
        ("validate", {"time_budget_s": 8, "wait_s": 60}),
        ("context7_update", {"window": 1, "content": "seen by the Inspector"}),
        ("get_run", {}),
    ):
        report = inspector.call(era, tool, run_id=run_id, **given)
        assert (report["run_id"], report["status"]) == (run_id, "finished"), tool
    window = inspector(era, "resources/read", "--uri", "context7://windows/1")
    assert "seen by the Inspector" in window.stdout


def test_the_inspector_shows_a_refusal_as_a_tool_error(inspector: Inspector) -> None:
    call = ("--tool-name", "profile_dataset", "--tool-arg", "path=/etc/hosts", "--tool-arg", "target=y")
    done = inspector("handshake", "tools/call", *call)
    assert done.returncode == TOOL_IS_ERROR
    assert "outside the allowed folders" in done.stdout


class Claude:
    """Claude Code with a home of its own and no login."""

    def __init__(self, modules: Path, folder: Path, home: Path, data: Path) -> None:
        self._modules = modules
        self._folder = folder
        variables = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        server = {"command": COMMAND[0], "args": arguments(home, data), "env": variables}
        self.config = folder / "mcp.json"
        self.config.write_text(json.dumps({"mcpServers": {"ml": server}}))

    def __call__(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {
            "HOME": str(self._folder),
            "CLAUDE_CONFIG_DIR": str(self._folder / "claude"),
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        return subprocess.run(
            [str(self._modules / ".bin" / "claude"), *options],
            env=environment(self._modules, **own, **variables),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def converse(self, tool: str, given: dict[str, Any]) -> tuple[str, bool | None]:
        """Have the scripted model call one tool; return what it was given back, and whether that was an error."""
        name = f"mcp__ml__{tool}"
        with scripted_messages_api(name, given) as conversation:
            done = self(
                "-p", "go", "--mcp-config", str(self.config), "--strict-mcp-config", "--allowedTools", name,
                ANTHROPIC_BASE_URL=conversation.url, ANTHROPIC_API_KEY="none",
            )  # fmt: skip
        assert conversation.result is not None, done.stdout + done.stderr
        return json.dumps(conversation.result), conversation.is_error


@pytest.fixture
def claude(node_modules: Path, tmp_path: Path, home: Path, table: Path) -> Claude:
    folder = tmp_path / "claude_home"
    folder.mkdir()
    return Claude(node_modules, folder, home, table.parent)


def test_claude_code_connects(claude: Claude, home: Path, table: Path) -> None:
    variables = ["-e", f"PYTHONPATH={os.environ['PYTHONPATH']}"] if "PYTHONPATH" in os.environ else []
    added = claude("mcp", "add", "ml", *variables, "--", COMMAND[0], *arguments(home, table.parent))
    assert added.returncode == 0, added.stderr
    assert "Connected" in claude("mcp", "list").stdout


def test_claude_code_drives_the_eight_tools(claude: Claude, table: Path) -> None:
    for tool, given, said in (
        ("profile_dataset", {"path": str(table), "target": "Churn", "time_budget_s": 15}, "run_churn_0001"),
        ("search_sota", {}, "finished"),
        ("build_baselines", {"learners": ["linear"], "time_budget_s": 5, "wait_s": 60}, "leaderboard"),
        ("run_ablation", {"time_budget_s": 8, "wait_s": 60}, "next_block"),
        ("refine", {"time_budget_s": 6, "iterations": 1, "wait_s": 60}, "finished"),
        ("build_ensemble", {"time_budget_s": 5, "wait_s": 60}, "finished"),
        ("validate", {"time_budget_s": 8, "wait_s": 60}, "READY"),
        ("context7_update", {"window": 1, "content": "seen by Claude Code"}, "seen by Claude Code"),
    ):
        result, is_error = claude.converse(tool, given)
        assert not is_error, f"{tool}: {result}"
        assert said in result, f"{tool}: {result}"


def test_claude_code_is_told_what_to_do_about_a_refusal(claude: Claude) -> None:
    result, is_error = claude.converse("profile_dataset", {"path": "/etc/hosts", "target": "y"})
    assert is_error
    assert "--allow DIR" in result
