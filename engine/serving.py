"""How a saved model behaves in use: the same predictions after loading, seconds per row, memory."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .checking import NO_TIME
from .deadline import Deadline
from .errors import Cancelled, DeadlinePassed
from .final_model import FinalModel, load
from .plugins import NotApplicable

log = logging.getLogger(__name__)

_SINGLE_ROWS = 40
_WARM_UP = 3
_SINGLE_S, _SINGLE_SHARE = 3.0, 0.2
_BATCH_ROWS = 2_000
_RELOADED_ROWS = 200
_FRESH_PROCESS_S = 15.0
_RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Speed:
    """Prediction speed of a loaded, warm model."""

    single_row_median_ms: float
    single_row_p95_ms: float
    rows_per_s: float


@dataclass(frozen=True)
class Reload:
    """Rows whose prediction changed by saving and loading, and whether another process did the loading.

    `problem` says why where the saved model could not be loaded or did not predict; then every row counts as changed.
    """

    rows: int
    changed: int
    fresh_process: bool
    problem: str | None = None


def measure_speed(model: FinalModel, frame: pd.DataFrame, deadline: Deadline) -> Speed | NotApplicable:
    """Time single rows one after another, then one batch, on rows as a user has them."""
    if deadline.passed:
        return NotApplicable(NO_TIME)
    try:
        return _timed(model, frame, deadline)
    except Cancelled:
        raise
    except DeadlinePassed:
        return NotApplicable(NO_TIME)
    except Exception as error:
        log.warning("the model did not predict", exc_info=True)
        return NotApplicable(f"the model did not predict ({type(error).__name__}: {str(error)[:120]})")


def _timed(model: FinalModel, frame: pd.DataFrame, deadline: Deadline) -> Speed:
    clock = deadline.at_most(min(_SINGLE_S, _SINGLE_SHARE * deadline.remaining()))
    times_ms: list[float] = []
    for number in range(_WARM_UP + _SINGLE_ROWS):
        if clock.passed and len(times_ms) >= _WARM_UP:
            break
        row = frame.iloc[[number % len(frame)]]
        start = time.perf_counter()
        model.predict(row)
        if number >= _WARM_UP or clock.passed:
            times_ms.append(1000 * (time.perf_counter() - start))
    batch = frame.iloc[:_BATCH_ROWS]
    start = time.perf_counter()
    model.predict(batch)
    seconds = time.perf_counter() - start
    median, p95 = np.percentile(times_ms, [50, 95])
    return Speed(float(median), float(p95), len(batch) / max(seconds, 1e-9))


def check_reload(model: FinalModel, folder: Path, frame: pd.DataFrame, deadline: Deadline) -> Reload | NotApplicable:
    """Load the saved folder and compare its predictions with those of the model that was saved.

    A fresh process does the loading where at least 15 s are left, else this one. A model that cannot be loaded or does not
    predict has failed this check: all rows count as changed.
    """
    if deadline.passed:
        return NotApplicable(NO_TIME)
    rows = frame.iloc[:_RELOADED_ROWS]
    fresh = deadline.remaining() >= _FRESH_PROCESS_S
    try:
        expected = model.predict(rows)
        found = _predict_elsewhere(folder, rows, deadline.remaining()) if fresh else load(folder).predict(rows)
        changed = _changed(expected, found)
    except Cancelled:
        raise
    except (DeadlinePassed, subprocess.TimeoutExpired):
        return NotApplicable(NO_TIME)
    except Exception as error:
        log.warning("the saved model could not be used", exc_info=True)
        return Reload(len(rows), len(rows), fresh, f"{type(error).__name__}: {str(error)[:240]}")
    return Reload(len(rows), changed, fresh)


def _changed(expected: pd.DataFrame, found: pd.DataFrame) -> int:
    if list(expected.columns) != list(found.columns) or len(expected) != len(found):
        return len(expected)
    same = np.ones(len(expected), dtype=bool)
    for name in expected.columns:
        old, new = expected[name].to_numpy(), found[name].to_numpy()
        if pd.api.types.is_numeric_dtype(expected[name].dtype):
            same &= np.isclose(old, new.astype(np.float64), rtol=_RELATIVE_TOLERANCE, atol=0.0, equal_nan=True)
        else:
            same &= old.astype(str) == new.astype(str)
    return int((~same).sum())


def _predict_elsewhere(folder: Path, rows: pd.DataFrame, timeout_s: float) -> pd.DataFrame:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".reload-") as scratch:
        source, result = Path(scratch) / "rows.parquet", Path(scratch) / "predictions.parquet"
        rows.to_parquet(source)
        command = [sys.executable, "-m", __name__, str(folder), str(source), str(result)]
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, timeout=timeout_s, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False
        )
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise RuntimeError(f"a fresh process could not load the model: {last[0][:200]}")
        return pd.read_parquet(result)


def saved_mb(folder: Path) -> float:
    """Megabytes of a saved model's files."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def peak_memory_mb() -> float | NotApplicable:
    """Largest resident memory of this process so far."""
    try:
        import resource
    except ImportError:
        return NotApplicable("this system does not report peak memory")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Entry of the fresh process: model folder, rows to predict, where to write."""
    folder, source, result = (Path(argument) for argument in sys.argv[1:4])
    load(folder).predict(pd.read_parquet(source)).to_parquet(result)


if __name__ == "__main__":
    main()
