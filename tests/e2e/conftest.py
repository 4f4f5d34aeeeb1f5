"""Folders of a server and its data, and Node packages for the tests marked `npm`."""

from __future__ import annotations

from pathlib import Path

import npm_packages
import pytest


@pytest.fixture(scope="session")
def node_modules() -> Path:
    return npm_packages.install()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder
