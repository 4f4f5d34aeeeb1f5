"""Contract of every registered validation check."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.experiment import Experiment
from mle_star.engine.plugins import Check, Finding, NotApplicable
from mle_star.engine.registry import checks
from opened import generated_table, open_experiment

SEVERITIES = {"info", "warning", "critical"}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    opened = open_experiment(tmp_path_factory.mktemp(request.param), generated_table(request.param, 200))
    assert build_baselines(opened, Deadline(60), ("linear",)).failed == ()
    return opened


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Twelve rows, an empty column, a constant, a single level, dates."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "empty": [np.nan] * 12,
            "same": ["a"] * 12,
            "when": pd.date_range("2024-01-01", periods=12).astype(str),
            "<b>": rng.normal(size=12),
            "y": ["u", "v"] * 6,
        }
    )
    opened = open_experiment(tmp_path_factory.mktemp("strange"), frame)
    build_baselines(opened, Deadline(60), ("linear",))
    return opened


@pytest.mark.parametrize("code", checks())
def test_a_check_describes_itself(code: str) -> None:
    check = checks()[code]
    assert isinstance(check, Check)
    assert re.fullmatch(r"[A-Z][A-Z_]{3,40}", code)
    assert check.stage in ("data", "model")
    assert check.title
    assert check.summary.endswith(".")


@pytest.mark.parametrize("code", checks())
def test_a_check_finds_nothing_grave_in_clean_data(code: str, experiment: Experiment) -> None:
    result = checks()[code].run(experiment)
    if isinstance(result, NotApplicable):
        assert result.reason
        return
    for finding in result:
        _assert_well_formed(finding, code)
        assert finding.severity != "critical"


@pytest.mark.parametrize("code", checks())
def test_a_check_survives_strange_data(code: str, strange: Experiment) -> None:
    result = checks()[code].run(strange)
    if not isinstance(result, NotApplicable):
        for finding in result:
            _assert_well_formed(finding, code)


@pytest.mark.parametrize("code", checks())
def test_a_check_changes_nothing_and_repeats_itself(code: str, experiment: Experiment) -> None:
    before = experiment.dataset.frame.copy(deep=True)
    first, second = checks()[code].run(experiment), checks()[code].run(experiment)
    assert first == second
    pd.testing.assert_frame_equal(experiment.dataset.frame, before)


@pytest.mark.parametrize("code", [code for code, check in checks().items() if check.stage == "data"])
def test_a_data_check_never_looks_at_sealed_targets(code: str, tmp_path: Path) -> None:
    opened = open_experiment(tmp_path, generated_table("binary", 600), holdout=0.3)
    first = checks()[code].run(opened)
    opened.dataset.y[opened.split.holdout] = 1 - opened.dataset.y[opened.split.holdout]
    assert checks()[code].run(opened) == first


def _assert_well_formed(finding: Finding, code: str) -> None:
    assert finding.code == code
    assert finding.severity in SEVERITIES
    assert 0 < len(finding.title) <= 200
    assert finding.evidence
    assert finding.action
