"""The distribution: every folder on disk is packaged, typed, and the installed copy is the one under test."""

from __future__ import annotations

import importlib
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
TOP = ("server", "tools", "engine", "knowledge", "prompts")


def folders_on_disk() -> set[str]:
    found = set()
    for top in TOP:
        for folder in [ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())]:
            if "__pycache__" not in folder.parts and any(path.is_file() for path in folder.iterdir()):
                found.add("mle_star." + ".".join(folder.relative_to(ROOT).parts))
    return found


def test_every_folder_with_files_is_packaged() -> None:
    assert set(SETUPTOOLS["packages"]) == folders_on_disk()


def test_every_top_package_is_marked_as_typed_and_ships_the_mark() -> None:
    for top in TOP:
        assert (ROOT / top / "py.typed").is_file()
        assert "py.typed" in SETUPTOOLS["package-data"][f"mle_star.{top}"]


def test_every_data_file_is_packaged() -> None:
    unpackaged = []
    for top in TOP:
        for path in (ROOT / top).rglob("*"):
            if not path.is_file() or path.suffix in {".py", ".pyc"}:
                continue
            package = "mle_star." + ".".join(path.parent.relative_to(ROOT).parts)
            if not any(path.match(pattern) for pattern in SETUPTOOLS["package-data"].get(package, [])):
                unpackaged.append(path.relative_to(ROOT).as_posix())
    assert unpackaged == []


def test_every_dependency_has_an_upper_bound_or_a_calendar_free_reason() -> None:
    """pyarrow raises its major number every quarter without breaking what is used here, so only its lower bound is set."""
    unbounded = [
        line for line in PROJECT["project"]["dependencies"] if "<" not in line and not line.startswith("pyarrow")
    ]
    assert unbounded == []


def test_the_changelog_names_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert PROJECT["project"]["version"] in headings


def test_the_installed_version_is_this_version() -> None:
    try:
        installed = version("mle-star-mcp")
    except PackageNotFoundError:
        pytest.skip("the package is not installed in this environment (a source tree on PYTHONPATH)")
    assert installed == PROJECT["project"]["version"]


@pytest.mark.parametrize("name", SETUPTOOLS["packages"])
def test_every_package_imports(name: str) -> None:
    importlib.import_module(name)
