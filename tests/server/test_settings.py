"""Settings from flags, environment and defaults."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from mle_star.server.settings import Settings, machine_memory_mb, usable_cpus


def test_the_environment_names_home_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLE_STAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLE_STAR_ALLOWED_DIRS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    settings = Settings()
    assert settings.home == tmp_path / "home"
    assert settings.allowed_folders == (tmp_path / "a", tmp_path / "b", tmp_path / "home")


def test_without_folders_the_working_directory_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLE_STAR_ALLOWED_DIRS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Settings(home=tmp_path / "home").allowed_folders == (tmp_path, tmp_path / "home")


@pytest.mark.parametrize("where", ["root", "user home"])
def test_a_root_or_the_users_home_counts_as_no_folder(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLE_STAR_ALLOWED_DIRS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/" if where == "root" else tmp_path)
    assert Settings(home=tmp_path / "mle").allowed_folders == (tmp_path / "mle",)


def test_the_home_folder_is_private(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home").make_home()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_defaults_follow_the_machine(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.threads == usable_cpus() >= 1
    assert settings.memory_mb == int(0.8 * machine_memory_mb())
