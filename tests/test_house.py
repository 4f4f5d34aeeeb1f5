"""Rules of the house that a reader would otherwise have to remember: file size, names, finished code, no foreign paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("server", "tools", "engine", "knowledge", "prompts", "tests", "benchmarks")
PYTHON = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TEXT = sorted(
    [path for folder in (*FOLDERS, "examples", ".ci") for path in (ROOT / folder).rglob("*") if path.is_file()]
    + [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".json"}]
)
MAX_LINES = 400
NO_SUBJECT = {"util", "utils", "helper", "helpers", "common", "misc", "base"}
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|raise Not" r"ImplementedError|pragma: no " r"cover")
MACHINE_PATH = re.compile(r"(?<![\w.~<$}])/(?:root|work|home/(?!you\b)\w+|Users/(?!you\b)\w+)/")
ENGINE_NAMES = re.compile(r"^(?:server|tools|engine|knowledge|prompts)/")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_file_fits_in_one_reading(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines; split it by subject"


def test_every_file_name_has_a_subject() -> None:
    vague = [name(path) for path in PYTHON if path.stem in NO_SUBJECT]
    assert vague == []


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_unfinished_code(path: Path) -> None:
    found = [line for line in path.read_text(encoding="utf-8").splitlines() if UNFINISHED.search(line)]
    assert found == []


def test_no_path_of_a_machine_is_in_the_product() -> None:
    found = []
    for path in TEXT:
        if path.suffix not in {".py", ".md", ".toml", ".json", ".j2", ""} or "__pycache__" in path.parts:
            continue
        found += [f"{name(path)}: {line.strip()[:100]}" for line in _lines(path) if MACHINE_PATH.search(line)]
    assert found == []


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_every_package_file_says_what_it_is_for() -> None:
    silent = [
        name(path)
        for path in PYTHON
        if ENGINE_NAMES.match(name(path)) and (text := path.read_text(encoding="utf-8")) and not text.startswith('"""')
    ]
    assert silent == []


def test_print_is_left_to_the_command_line() -> None:
    """Over stdio the standard output belongs to the protocol."""
    loud = [
        name(path)
        for path in PYTHON
        if ENGINE_NAMES.match(name(path)) and re.search(r"^\s*print\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert loud == []
