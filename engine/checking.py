"""Running validation checks, and what they share: rows to look at, columns a learner may see, columns as numbers.

A check that raises is reported as not computed, never as passed and never as a failed validation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from . import registry
from .errors import MleStarError, NotFound
from .experiment import Experiment
from .plugins import Finding, NotApplicable
from .roles import Role

log = logging.getLogger(__name__)

NO_TIME = "no time left"
BROKEN = "it could not be computed"

SEEN_BY_LEARNERS = (Role.NUMERIC, Role.BOOLEAN, Role.DATETIME, Role.CATEGORICAL)
"""Roles whose values reach a learner without a component that asks for them."""

_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class CheckOutcome:
    """What one check said. `not_applicable` holds the reason where it could not be computed; then there are no findings."""

    code: str
    title: str
    findings: tuple[Finding, ...]
    not_applicable: str | None
    seconds: float


def run_checks(
    experiment: Experiment, stage: Literal["data", "model"], codes: Sequence[str] | None = None
) -> list[CheckOutcome]:
    """Run the registered checks of a stage, in the order of their codes; late ones are not applicable ("no time left").

    Raises
    ------
    NotFound
        One of `codes` is not a check; the message lists them.
    """
    require_checks(codes)
    outcomes = []
    for code, check in registry.checks().items():
        if check.stage != stage or (codes is not None and code not in codes):
            continue
        outcomes.append(experiment.prepared.get(code) or _outcome(experiment, code))
    return outcomes


def require_checks(codes: Sequence[str] | None) -> None:
    """Raise `NotFound` where one of the codes is not a check."""
    known = registry.checks()
    for code in codes or ():
        if code not in known:
            raise NotFound(f"no check is called {code!r}; accepted: {', '.join(known)}")


def prepare_data_checks(experiment: Experiment) -> None:
    """Compute the checks that need only the data, so that `validate` finds them done; runs beside another stage."""
    for code, check in registry.checks().items():
        if check.stage == "data":
            outcome = _outcome(experiment, code)
            if outcome.not_applicable != NO_TIME:
                experiment.prepared[code] = outcome


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Order findings for a reader: critical first, else as they came."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def _outcome(experiment: Experiment, code: str) -> CheckOutcome:
    start = time.monotonic()
    findings, reason = _run(experiment, code)
    return CheckOutcome(code, registry.checks()[code].title, findings, reason, time.monotonic() - start)


def _run(experiment: Experiment, code: str) -> tuple[tuple[Finding, ...], str | None]:
    if experiment.deadline.passed:
        return (), NO_TIME
    try:
        result = registry.checks()[code].run(experiment)
    except MleStarError as error:
        return (), str(error)
    except Exception as error:
        log.warning("check %s failed", code, exc_info=True)
        return (), f"{BROKEN} ({type(error).__name__}: {str(error)[:120]})"
    return ((), result.reason) if isinstance(result, NotApplicable) else (tuple(result), None)


def sample(positions: np.ndarray, at_most: int, seed: int) -> np.ndarray:
    """Return at most so many of the positions, drawn with the seed, ascending."""
    if len(positions) <= at_most:
        return np.sort(positions)
    return np.sort(np.random.default_rng(seed).choice(positions, at_most, replace=False))


def columns_seen(experiment: Experiment) -> list[str]:
    """Names of the columns whose values reach a learner by default."""
    return experiment.dataset.table.columns(*SEEN_BY_LEARNERS)


def as_numbers(series: pd.Series) -> np.ndarray:
    """Values (n_rows,) float64 with NaN for missing: numbers as they are, dates in nanoseconds, levels as codes."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = series.cat.codes.to_numpy().astype(np.float64)
    elif pd.api.types.is_datetime64_any_dtype(series.dtype):
        codes = series.astype("int64").to_numpy().astype(np.float64)
    elif pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes = pd.factorize(series)[0].astype(np.float64)
    codes[series.isna().to_numpy()] = np.nan
    return codes


def row_hashes(frame: pd.DataFrame) -> np.ndarray:
    """Hash of each row's values (n_rows,) uint64; equal rows hash equally, missing equals missing."""
    plain = frame.reset_index(drop=True)
    return np.asarray(pd.util.hash_pandas_object(plain, index=False))


def name_some(names: Sequence[str], at_most: int = 5) -> str:
    """Write a list of column names for a person, cut to the first few."""
    shown = ", ".join(str(name)[:60] for name in names[:at_most])
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"


__all__ = [
    "BROKEN",
    "NO_TIME",
    "SEEN_BY_LEARNERS",
    "CheckOutcome",
    "as_numbers",
    "by_severity",
    "columns_seen",
    "name_some",
    "prepare_data_checks",
    "require_checks",
    "row_hashes",
    "run_checks",
    "sample",
]
