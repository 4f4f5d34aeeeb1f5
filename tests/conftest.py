"""Folders of a server and its data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mle_star.server.processes import wait_actively

# As in a worker: the engine's tests fit in this process.
wait_actively(os.environ)


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
