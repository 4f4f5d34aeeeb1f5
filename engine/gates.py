"""Production gates: thresholds a validated model must meet. A gate that cannot be computed is not applicable, never passed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .errors import InvalidInput
from .limits import NO_LIMITS, Limits

GateStatus = Literal["passed", "failed", "not applicable"]
Rule = Literal["above", "below", "at most"]


@dataclass(frozen=True)
class Gate:
    """A threshold. `unit` is `share` (0.05 is 5 %), `ms`, `mb`, `count` or empty for a pure number."""

    key: str
    title: str
    rule: Rule
    threshold: float | None
    unit: str
    meaning: str


GATES: tuple[Gate, ...] = (
    Gate(
        "improvement", "Better than the dummy", "above", 0.05, "share", "gain over the dummy, as a share of its score"
    ),
    Gate("p_value", "Improvement is no chance", "below", 0.05, "", "paired folds, corrected resampled t, two-sided"),
    Gate("fold_std", "Stable over folds", "below", 0.05, "share", "standard deviation of the folds over their mean"),
    Gate("holdout_gap", "Holdout agrees", "at most", 0.03, "share", "how far the holdout's score is worse"),
    Gate("critical_findings", "No leakage found", "at most", 0.0, "count", "critical findings of the checks"),
    Gate("train_gap", "Little overfitting", "below", 0.05, "share", "how far training beats validation, one fold"),
    Gate(
        "reload", "Same after loading", "at most", 0.0, "count", "rows whose prediction changed by saving and loading"
    ),
    Gate("fairness", "Fair to groups", "at most", None, "share", "needs a named sensitive column"),
    Gate("latency", "Fast single prediction", "below", 100.0, "ms", "95th percentile of one warm row"),
    Gate("size", "Small enough", "at most", None, "mb", "the saved model's files"),
    Gate("memory", "Within the memory budget", "at most", None, "mb", "peak memory of the worker"),
)


@dataclass(frozen=True)
class GateResult:
    """One gate on one model. `value` is None where it could not be computed; `note` then says why."""

    gate: Gate
    status: GateStatus
    value: float | None
    note: str

    def describe(self) -> str:
        """One line for a person."""
        if self.value is None:
            return f"{self.gate.title}: {self.note}"
        return (
            f"{self.gate.title}: {written(self.value, self.gate.unit)}, "
            f"needs {self.gate.rule} {written(self.gate.threshold, self.gate.unit)}"
        )


def written(value: float | None, unit: str) -> str:
    """Write a value with its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    if unit in ("ms", "mb"):
        return f"{value:,.{1 if abs(value) < 100 else 0}f} {unit.upper() if unit == 'mb' else unit}"
    if unit == "count":
        return f"{value:.0f}"
    return "< 0.001" if 0 <= value < 0.001 else f"{value:.2g}"


def choose_gates(
    overrides: Sequence[str] | Mapping[str, float | None] | None = None,
    limits: Limits = NO_LIMITS,
    memory_mb: float | None = None,
) -> tuple[Gate, ...]:
    """Return the gates with thresholds replaced: by the run's limits and the job's memory, and by what is asked here above them.

    Parameters
    ----------
    overrides : sequence of str or mapping, optional
        `"latency=50"` sets a threshold in the gate's unit, `"train_gap=off"` leaves the gate out; or a mapping with None for off.

    Raises
    ------
    InvalidInput
        Unknown gate or a threshold that is not a number.
    """
    asked = _parse(overrides) if not isinstance(overrides, Mapping) and overrides is not None else dict(overrides or {})
    of_run = {"latency": limits.latency_ms, "size": limits.size_mb, "memory": memory_mb}
    asked = {**{key: limit for key, limit in of_run.items() if limit is not None}, **asked}
    known = {gate.key for gate in GATES}
    for key in asked:
        if key not in known:
            raise InvalidInput(f"no gate is called {key[:60]!r}; accepted: {', '.join(gate.key for gate in GATES)}")
    return tuple(
        replace(gate, threshold=asked[gate.key]) if gate.key in asked else gate
        for gate in GATES
        if asked.get(gate.key, 0.0) is not None
    )


def _parse(overrides: Sequence[str]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        try:
            number = None if value.strip() == "off" else float(value)
        except ValueError:
            number = math.nan
        if not separator or (number is not None and not math.isfinite(number)):
            raise InvalidInput(f"expected a gate as name=number or name=off, for example latency=50, got {text[:60]!r}")
        found[key.strip()] = number
    return found


def judge(gates: Sequence[Gate], values: Mapping[str, float | str]) -> tuple[GateResult, ...]:
    """Hold measured values against the gates.

    Parameters
    ----------
    values : mapping of gate key to float or str
        A number in the gate's unit, or the reason why there is none.
    """
    results = []
    for gate in gates:
        value = values.get(gate.key, "not measured")
        if isinstance(value, str) or not math.isfinite(value):
            note = value if isinstance(value, str) else "the value is not a finite number"
            results.append(GateResult(gate, "not applicable", None, note))
        elif gate.threshold is None:
            results.append(
                GateResult(gate, "not applicable", value, f"no threshold is set ({gate.key}=number sets one)")
            )
        else:
            results.append(GateResult(gate, "passed" if _holds(gate, value) else "failed", value, gate.meaning))
    return tuple(results)


def _holds(gate: Gate, value: float) -> bool:
    if gate.threshold is None:
        return False
    if gate.rule == "above":
        return value > gate.threshold
    return value < gate.threshold if gate.rule == "below" else value <= gate.threshold
