"""Gates: thresholds, overrides, and what cannot be computed."""

import math

import pytest
from mle_star.engine.errors import InvalidInput
from mle_star.engine.gates import GATES, choose_gates, judge, written


def status(values, overrides=None):
    return {result.gate.key: result.status for result in judge(choose_gates(overrides), values)}


def test_the_defaults_are_those_of_the_mission():
    limits = {gate.key: gate.threshold for gate in choose_gates()}
    assert limits["improvement"] == limits["p_value"] == limits["fold_std"] == limits["train_gap"] == 0.05
    assert limits["holdout_gap"] == 0.03
    assert limits["latency"] == 100.0
    assert limits["critical_findings"] == 0.0


def test_a_value_on_the_right_side_passes_and_on_the_wrong_side_fails():
    good = {"improvement": 0.2, "p_value": 0.01, "holdout_gap": 0.03, "critical_findings": 0.0, "latency": 12.0}
    bad = {"improvement": 0.05, "p_value": 0.05, "holdout_gap": 0.031, "critical_findings": 1.0, "latency": 100.0}
    assert {status(good)[key] for key in good} == {"passed"}
    assert {status(bad)[key] for key in bad} == {"failed"}


@pytest.mark.parametrize("value", ["no time left", math.nan, math.inf])
def test_what_cannot_be_computed_is_never_passed(value):
    assert status({"latency": value})["latency"] == "not applicable"


def test_nothing_measured_means_nothing_passed():
    assert set(status({}).values()) == {"not applicable"}


def test_a_gate_without_a_threshold_shows_its_value_and_is_not_applicable():
    (memory,) = [result for result in judge(GATES, {"memory": 512.0}) if result.gate.key == "memory"]
    assert (memory.status, memory.value) == ("not applicable", 512.0)
    assert status({"memory": 512.0}, ["memory=256"])["memory"] == "failed"


def test_the_memory_a_job_may_fill_is_the_threshold_of_its_gate():
    limits = {gate.key: gate.threshold for gate in choose_gates(memory_mb=2048)}
    assert limits["memory"] == 2048.0
    assert {gate.key: gate.threshold for gate in choose_gates(["memory=256"], memory_mb=2048)}["memory"] == 256.0


def test_overrides_change_and_remove_gates():
    limits = {gate.key: gate.threshold for gate in choose_gates(["latency=50", "train_gap=off"])}
    assert limits["latency"] == 50.0
    assert "train_gap" not in limits
    assert "fold_std" not in {gate.key for gate in choose_gates({"fold_std": None})}


@pytest.mark.parametrize("text", ["speed=3", "latency", "latency=fast", "latency=nan", "latency="])
def test_a_gate_that_makes_no_sense_is_refused(text):
    with pytest.raises(InvalidInput, match=r"accepted|expected"):
        choose_gates([text])


def test_values_are_written_with_their_units():
    assert written(0.0312, "share") == "3.1%"
    assert written(12.34, "ms") == "12.3 ms"
    assert written(2048.0, "mb") == "2,048 MB"
    assert written(None, "ms") == "–"
