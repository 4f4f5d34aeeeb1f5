"""Who may import whom, read from the syntax trees: server → tools → engine, knowledge; a plug-in never imports a sibling."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "server": {"server", "tools", "engine", "knowledge", "prompts"},
    "tools": {"tools", "engine", "knowledge"},
    "engine": {"engine"},
    "knowledge": {"knowledge"},
    "prompts": {"prompts"},
}
PLUGIN_FOLDERS = ("engine/models", "engine/ensembles", "engine/checks", "knowledge/sources")
COMPONENT_FOLDERS = tuple(
    path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / "engine" / "components").iterdir())
    if path.is_dir() and path.name != "__pycache__"
)
SOURCES = sorted(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))
HEAVY = {
    "numpy",
    "pandas",
    "sklearn",
    "scipy",
    "lightgbm",
    "xgboost",
    "catboost",
    "optuna",
    "joblib",
    "matplotlib",
    "pyarrow",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Package-internal modules a file imports, as `folder.module` without the package's own name."""
    package = relative(path).removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            anchor = package[: len(package) - node.level + 1]
            stem = [*anchor, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                target = ".".join([*stem, alias.name])
                is_module = (ROOT.joinpath(*stem, alias.name)).is_dir() or ROOT.joinpath(
                    *stem, f"{alias.name}.py"
                ).is_file()
                yield target if is_module else ".".join(stem)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from [f"absolute:{node.module}"] if node.module.split(".")[0] == "mle_star" else []
        elif isinstance(node, ast.Import):
            yield from (f"absolute:{alias.name}" for alias in node.names if alias.name.split(".")[0] == "mle_star")


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    folder = relative(path).split("/", maxsplit=1)[0]
    wrong = [
        name
        for name in imported(path)
        if not name.startswith("absolute:") and name.split(".")[0] not in MAY_IMPORT[folder]
    ]
    assert wrong == [], f"{folder} may import {sorted(MAY_IMPORT[folder])}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_inside_the_package_are_relative(path: Path) -> None:
    """`server/dev.py` is the exception: `mcp dev` loads it outside the package."""
    absolute = [name for name in imported(path) if name.startswith("absolute:")]
    assert absolute == [] or relative(path) == "server/dev.py"


@pytest.mark.parametrize("folder", [*PLUGIN_FOLDERS, *COMPONENT_FOLDERS])
def test_a_plug_in_never_imports_a_sibling(folder: str) -> None:
    siblings = {path.stem for path in (ROOT / folder).glob("*.py") if not path.stem.startswith("_")}
    prefix = folder.replace("/", ".")
    wrong = [
        f"{relative(path)} imports {name}"
        for path in (ROOT / folder).glob("*.py")
        for name in imported(path)
        if name.startswith(f"{prefix}.") and name.rpartition(".")[2] in siblings - {path.stem}
    ]
    assert wrong == []


def loaded_after(statement: str) -> set[str]:
    """Top-level names in `sys.modules` of a fresh interpreter after this statement."""
    code = f"import sys; {statement}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "mle_star.server.app",
        "mle_star.server.cli",
        "mle_star.server.jobs",
        "mle_star.server.settings",
        "mle_star.engine.run",
    ],
)
def test_the_server_process_loads_no_ml_library(module: str) -> None:
    assert loaded_after(f"import {module}") & HEAVY == set()


def test_listing_the_tools_loads_no_ml_library() -> None:
    statement = "from mle_star.engine.registry import discover; discover('mle_star.tools', 'TOOL', key='name')"
    assert loaded_after(statement) & HEAVY == set()
