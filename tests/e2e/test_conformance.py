"""The protocol's own conformance suite on the real server, its gate and its tasks, with fixtures added (`tests/conformance/`).

Every scenario of both revisions is run, also those that are not scored. Most of them score a pass against a dead server, and some
on a refusal: so those passes are not counted, and nothing may be asked for in vain but what the scenarios mean to be missing.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from npm_packages import environment

pytestmark = [pytest.mark.npm, pytest.mark.slow, pytest.mark.timeout(400)]

TESTS = Path(__file__).resolve().parents[1]
SCENARIOS = {"2025-11-25": 33, "2026-07-28": 50}
MEANT_TO_BE_MISSING = {
    "test://nonexistent-resource-for-conformance-testing",
    "multi_input",  # asks in the midst of its work, see expected.json
    "test_reconnection",  # goes on in another stream; this server keeps no events to send again
}
_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True)
class Check:
    """One check of one scenario."""

    requirements: str
    scenario: str
    check: str
    status: str


@dataclass
class Run:
    """What the suite found, what it found without a server, and what it asked for in vain."""

    checks: set[Check]
    without_server: set[Check]
    missing: set[str]


@pytest.fixture(scope="module")
def run(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("conformance")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/mcp"
    paths = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "conformance.serve", str(folder / "home")]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            checks = _suite(node_modules, url, folder / "live")
            assert server.poll() is None
            with urllib.request.urlopen(url.replace("/mcp", "/healthz"), timeout=5) as health:
                assert health.status == 200
        finally:
            server.terminate()
        missing = {line.split()[1] for line in server.stdout}
    return Run(checks, _suite(node_modules, dead, folder / "dead"), missing)


def _suite(modules: Path, url: str, folder: Path) -> set[Check]:
    """Run all scenarios of both revisions; returns every check with how it ended."""
    found = set()
    node, suite = str(modules / "node" / "bin" / "node"), str(modules / ".bin" / "conformance")
    for requirements in SCENARIOS:
        target = folder / requirements
        command = [node, suite, "server", "--url", url, "--requirements", requirements, "-o", str(target)]
        # Its exit status speaks of what this file judges check by check.
        subprocess.run(command, env=environment(modules), capture_output=True, check=False, timeout=150)
        for path in target.glob("*/checks.json"):
            scenario = _FOLDER.fullmatch(path.parent.name)
            assert scenario, path
            found |= {
                Check(requirements, scenario[1], check["id"], check["status"]) for check in json.loads(path.read_text())
            }
    return found


def test_every_scenario_of_both_revisions_was_run(run: Run) -> None:
    for requirements, count in SCENARIOS.items():
        assert len({check.scenario for check in run.checks if check.requirements == requirements}) == count


def test_every_check_ends_as_expected_and_nothing_expected_is_out_of_date(run: Run) -> None:
    listed = json.loads((TESTS / "conformance" / "expected.json").read_text(encoding="utf-8"))
    assert all(entry.pop("reason") for entry in listed)
    not_passed = {check for check in run.checks if check.status not in {"SUCCESS", "INFO"}}
    assert not_passed == {Check(**entry) for entry in listed}


def test_every_scenario_has_passed_what_a_dead_server_does_not(run: Run) -> None:
    passed = {check for check in run.checks - run.without_server if check.status == "SUCCESS"}
    idle = {(check.requirements, check.scenario) for check in run.checks} - {
        (check.requirements, check.scenario) for check in passed
    }
    listed = json.loads((TESTS / "conformance" / "expected.json").read_text(encoding="utf-8"))
    assert idle == {(entry["requirements"], entry["scenario"]) for entry in listed}


def test_nothing_was_asked_for_in_vain_but_what_is_meant_to_be_missing(run: Run) -> None:
    assert run.missing == MEANT_TO_BE_MISSING
