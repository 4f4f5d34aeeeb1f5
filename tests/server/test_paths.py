"""Which files a client may name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mle_star.engine.errors import InvalidInput, Refused
from mle_star.server.paths import resolve_data_path
from mle_star.server.settings import Settings


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text("a,b\n1,2\n")
    return folder


def test_a_file_in_an_allowed_folder_is_resolved(settings: Settings, data: Path) -> None:
    (data / "table.csv").write_text("a\n1\n")
    assert resolve_data_path(str(data / "." / "table.csv"), settings) == (data / "table.csv").resolve()


def test_a_file_elsewhere_is_refused_with_the_allowed_folders_and_the_way_to_add_one(
    settings: Settings, outside: Path, data: Path
) -> None:
    with pytest.raises(Refused) as refusal:
        resolve_data_path(str(outside / "secret.csv"), settings)
    for part in (str(data), "--allow DIR", "MLE_STAR_ALLOWED_DIRS"):
        assert part in str(refusal.value)


def test_a_missing_file_elsewhere_reads_the_same_as_one_that_exists(settings: Settings, outside: Path) -> None:
    with pytest.raises(Refused):
        resolve_data_path(str(outside / "missing.csv"), settings)


@pytest.mark.parametrize("link_the", ["file", "folder"])
def test_a_symlink_does_not_lead_out(settings: Settings, outside: Path, data: Path, link_the: str) -> None:
    if link_the == "file":
        (data / "link.csv").symlink_to(outside / "secret.csv")
        named = data / "link.csv"
    else:
        (data / "link").symlink_to(outside)
        named = data / "link" / "secret.csv"
    with pytest.raises(Refused):
        resolve_data_path(str(named), settings)


def test_dots_do_not_lead_out(settings: Settings, outside: Path, data: Path) -> None:
    with pytest.raises(Refused):
        resolve_data_path(f"{data}/../outside/secret.csv", settings)


def test_a_folder_that_only_begins_alike_is_outside(settings: Settings, data: Path) -> None:
    twin = data.with_name(data.name + "_too")
    twin.mkdir()
    (twin / "table.csv").touch()
    with pytest.raises(Refused):
        resolve_data_path(str(twin / "table.csv"), settings)


def test_a_missing_file_suggests_its_neighbour(settings: Settings, data: Path) -> None:
    (data / "table.parquet").touch()
    with pytest.raises(InvalidInput, match=r"did you mean table\.parquet"):
        resolve_data_path(str(data / "table.csv"), settings)


def test_a_folder_and_a_pipe_are_no_tables(settings: Settings, data: Path) -> None:
    with pytest.raises(InvalidInput, match="got the folder"):
        resolve_data_path(str(data), settings)
    os.mkfifo(data / "pipe.csv")
    with pytest.raises(InvalidInput, match="regular file"):
        resolve_data_path(str(data / "pipe.csv"), settings)


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "x" * 5000])
def test_text_that_is_no_path_is_refused_in_words(settings: Settings, data: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"path|opened"):
        resolve_data_path(f"{data}/{text}" if len(text) > 100 else text, settings)
