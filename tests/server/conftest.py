"""Settings of a home folder, and jobs whose workers do scripted work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mle_star.engine.run import RunFolder, create_run
from mle_star.server.jobs import Jobs
from mle_star.server.settings import Settings


@pytest.fixture
def settings(home: Path, data: Path) -> Settings:
    return Settings(home=home, allowed_dirs=(data,), threads=1, memory_mb=400, time_budget_s=60, warm=False)


@pytest.fixture
def run(home: Path) -> RunFolder:
    return create_run(home, "test")


@pytest.fixture
def jobs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    jobs = Jobs(settings, perform="scripted_work:perform")
    yield jobs
    jobs.shutdown()
