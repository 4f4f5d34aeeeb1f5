"""Folders of a server and its data."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mle_star.server.processes import wait_actively
from threadpoolctl import ThreadpoolController

# As in a worker: the engine's tests fit in this process.
wait_actively(os.environ)


@pytest.fixture(autouse=True)
def _no_native_threads_left() -> Iterator[None]:
    """Let the OpenMP threads go that fits in this thread have left waiting.

    GCC's library counts them, and with more threads than cores none waits actively any more: then boosting on two threads takes
    fifteen times as long. A worker does one job and ends; this process does hundreds.
    """
    yield
    for library in ThreadpoolController().lib_controllers:
        if library.user_api == "openmp" and hasattr(loaded := ctypes.CDLL(library.filepath), "omp_pause_resource_all"):
            loaded.omp_pause_resource_all(2)


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
