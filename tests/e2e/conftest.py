"""Node packages for the tests marked `npm`."""

from __future__ import annotations

from pathlib import Path

import npm_packages
import pytest


@pytest.fixture(scope="session")
def node_modules() -> Path:
    return npm_packages.install()
