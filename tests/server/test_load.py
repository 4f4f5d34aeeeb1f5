"""Many clients at once are served while a job uses every core. What the command measures exactly stands in the README."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "load.py"


@pytest.mark.slow
def test_fifty_clients_and_two_hundred_subscribers_are_served_while_a_job_works() -> None:
    done = subprocess.run(
        [sys.executable, str(COMMAND), "--json"], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["calls"], figures["subscribers"], figures["job_at_work"]) == (1000, 200, True)
    # Ten times what is promised: the bound is for blocking and queues, not for the machine of the day.
    assert figures["ms"]["all"]["p95"] < 1000
    assert figures["last_heard_s"] < 10
