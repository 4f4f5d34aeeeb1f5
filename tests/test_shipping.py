"""What registries, desktop clients and plugin folders read about the product agrees with the product."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mle_star.server.app import ORDER

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", ["manifest.json", "server.json", "plugin/.claude-plugin/plugin.json"])
def test_every_manifest_has_the_version_of_the_package(name: str) -> None:
    assert read(name)["version"] == PROJECT["version"]


def test_the_registry_finds_its_name_in_the_readme() -> None:
    about = read("server.json")
    assert f"mcp-name: {about['name']} " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert [package["identifier"] for package in about["packages"]] == [PROJECT["name"]]
    assert {package["version"] for package in about["packages"]} == {PROJECT["version"]}
    assert len(about["description"]) <= 100


def test_the_bundle_names_every_tool_and_an_entry_that_exists() -> None:
    manifest = read("manifest.json")
    assert [tool["name"] for tool in manifest["tools"]] == list(ORDER)
    assert (ROOT / manifest["server"]["entry_point"]).is_file()
    assert "mle-star" in PROJECT["scripts"]


def test_the_plugin_starts_the_command_that_the_package_installs() -> None:
    server = read("plugin/.mcp.json")["mcpServers"]["mle-star"]
    assert server["command"] in PROJECT["scripts"]
    assert server["args"][0] == "serve"


def test_the_skill_names_only_tools_that_exist() -> None:
    text = (ROOT / "plugin/skills/predict-a-column/SKILL.md").read_text(encoding="utf-8")
    assert text.startswith("---\nname: predict-a-column\n")
    missing = [name for name in ORDER[:7] if name not in text]
    assert missing == []


@pytest.mark.npm
def test_the_bundle_is_accepted_and_packed_without_what_users_do_not_need(tmp_path: Path) -> None:
    mcpb = shutil.which("mcpb")
    assert mcpb, "mcpb is missing: npm install @anthropic-ai/mcpb"
    copy = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    subprocess.run([mcpb, "validate", "manifest.json"], cwd=copy, check=True, capture_output=True)
    bundle = tmp_path / "mle-star.mcpb"
    subprocess.run([mcpb, "pack", ".", str(bundle)], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(bundle) as packed:
        names = packed.namelist()
    assert {"manifest.json", "pyproject.toml", "README.md", "LICENSE", "server/cli.py", "engine/evaluate.py"} <= set(
        names
    )
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", ".git/", "examples/"))]
    assert bundle.stat().st_size < 3_000_000


@pytest.mark.npm
def test_the_plugin_folder_passes_its_validator(tmp_path: Path) -> None:
    claude = shutil.which("claude")
    assert claude, "claude is missing: npm install @anthropic-ai/claude-code"
    environment = {**os.environ, "HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path), "DISABLE_AUTOUPDATER": "1"}
    done = subprocess.run(
        [claude, "plugin", "validate", str(ROOT / "plugin")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
