"""The documents say what the code does: the tables of README.md, its commands, and every link to a file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from mle_star.engine import registry
from mle_star.server.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "examples").glob("*.md")]
    if path.is_file()
]


def section(marker: str) -> str:
    """The part of README.md between `<!-- marker -->` and `<!-- end -->`."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->$(.*?)^<!-- end -->$", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md lost its marker {marker!r}"
    return found.group(1)


def test_the_tool_table_lists_exactly_the_tools() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section("tools"), re.MULTILINE)
    assert sorted(listed) == sorted(registry.discover("mle_star.tools", "TOOL", key="name"))


def test_the_option_table_lists_exactly_the_options_of_run() -> None:
    listed = set(re.findall(r"--[a-z][a-z-]*", section("options: run")))
    # `--help` stands in the text of one row.
    arguments = app["run"].assemble_argument_collection(default_parameter=app.default_parameter)
    assert listed - {"--help"} == {name for argument in arguments for name in argument.names}


def test_every_command_of_the_tool_is_in_the_readme() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert commands == {"run", "predict", "serve", "doctor", "runs"}
    assert all(f"`{name}`" in README or f"mle-star {name}" in README for name in commands)


def test_the_gate_runs_the_commands_of_the_readme_verbatim() -> None:
    function = next(
        line for line in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines() if "readme_command()" in line
    )
    for name in ("main-job", "tests"):
        script = f"cd {ROOT}; {function}\nreadme_command {name}"
        extracted = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        block = re.search(r"```bash\n(.*?)```", section(f"command: {name}"), re.DOTALL)
        assert block
        assert extracted == block.group(1)
        assert len(extracted.strip().splitlines()) == 1, "one line to copy"


def test_the_main_job_of_the_readme_uses_the_shipped_example() -> None:
    command = section("command: main-job")
    dataset = re.search(r"--dataset (\S+) --target (\S+)", command)
    assert dataset
    header = (ROOT / dataset.group(1)).read_text(encoding="utf-8").splitlines()[0]
    assert dataset.group(2) in header.split(",")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def test_the_example_configuration_starts_this_server() -> None:
    config = json.loads((ROOT / "claude_config.example.json").read_text(encoding="utf-8"))
    (server,) = config["mcpServers"].values()
    assert Path(server["command"]).name == "mle-star"
    assert server["args"][0] == "serve"
    assert "--allow" in server["args"]
