"""`mle-star doctor`: is this installation able to work? One line per finding, what to do where it is not, and a real tiny job.

Loads no ML library itself; the self-test fits its models in a worker, as every job does.
"""

from __future__ import annotations

import csv
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import anyio

from ..engine.errors import InvalidInput, MleStarError
from ..engine.run import create_run
from .job_state import JobState
from .jobs import Jobs
from .settings import Settings

DISTRIBUTION = "mle-star-mcp"
LIBRARIES = (
    "mcp",
    "numpy",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "xgboost-cpu",
    "xgboost",
    "catboost",
    "optuna",
)
OPTIONAL_PARTS = {"excel": ("openpyxl", "Excel files"), "dev": ("typer", "`mcp dev`, the Inspector")}
"""Extra of the distribution → a module it brings, and what it is good for."""
LEAST_DISK_MB = 500
SELF_TEST_ROWS = 200
SELF_TEST_BUDGET_S = 1.0
SELF_TEST_PATIENCE_S = 60.0
"""A worker loads its libraries first, which takes long on a cold disk."""


@dataclass(frozen=True)
class Line:
    """One finding. `broken` makes the command exit with 1; `missing` does not."""

    state: Literal["ok", "missing", "broken"]
    what: str
    detail: str
    action: str = ""

    def __str__(self) -> str:
        """`ok       disk: 12 GB free`, with the action behind an arrow."""
        return f"{self.state:8} {self.what}: {self.detail}" + (f" → {self.action}" if self.action else "")


def examine(settings: Settings) -> Iterator[Line]:
    """Yield the findings one by one; the self-test comes last, because it takes seconds."""
    yield Line("ok", "python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield _package()
    yield _versions()
    yield from _optional_parts()
    yield from _settings_lines(settings)
    home = _home(settings)
    yield home
    if home.state == "ok":
        yield _disk(settings)
        yield _self_test(settings)


def _versions() -> Line:
    found, absent = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    # One of the two distributions of XGBoost is enough.
    if len({"xgboost", "xgboost-cpu"} & set(absent)) == 1:
        absent = [name for name in absent if not name.startswith("xgboost")]
    if absent:
        return Line(
            "broken", "libraries", f"not installed: {', '.join(absent)}", f"pip install --upgrade {DISTRIBUTION}"
        )
    return Line("ok", "libraries", ", ".join(found))


def _package() -> Line:
    try:
        return Line("ok", DISTRIBUTION, version(DISTRIBUTION))
    except PackageNotFoundError:
        return Line("ok", DISTRIBUTION, "runs from a source tree, not installed")


def _optional_parts() -> Iterator[Line]:
    for extra, (module, purpose) in OPTIONAL_PARTS.items():
        if find_spec(module) is not None:
            yield Line("ok", f"optional part {extra}", purpose)
        else:
            yield Line(
                "missing", f"optional part {extra}", purpose, f"pip install '{DISTRIBUTION}[{extra}]' if you want it"
            )


def _settings_lines(settings: Settings) -> Iterator[Line]:
    folders = ", ".join(str(folder) for folder in settings.allowed_folders)
    yield Line("ok", "allowed folders", f"{folders} (MLE_STAR_ALLOWED_DIRS, or serve --allow DIR)")
    yield Line(
        "ok",
        "one job",
        f"{settings.threads} threads (MLE_STAR_THREADS), {settings.memory_mb:,} MB (MLE_STAR_MEMORY_MB), "
        f"{settings.time_budget_s:g} s where none is given (MLE_STAR_TIME_BUDGET_S)",
    )
    warm = "with" if settings.warm else "without"
    yield Line(
        "ok",
        "one server",
        f"{settings.max_jobs} jobs at once (MLE_STAR_MAX_JOBS), {warm} a worker in waiting (MLE_STAR_WARM)",
    )


def _home(settings: Settings) -> Line:
    action = "set MLE_STAR_HOME to a folder you can write"
    try:
        home = settings.make_home()
        with tempfile.TemporaryFile(dir=home):
            pass
    except InvalidInput as error:
        return Line("broken", "home", str(error))
    except OSError as error:
        return Line("broken", "home", f"{settings.home} cannot be written: {error.strerror}", action)
    return Line("ok", "home", f"{home} (MLE_STAR_HOME)")


def _disk(settings: Settings) -> Line:
    free_mb = shutil.disk_usage(settings.home).free // 2**20
    if free_mb < LEAST_DISK_MB:
        action = f"free some space, or set MLE_STAR_HOME to a disk with {LEAST_DISK_MB} MB"
        return Line("broken", "disk", f"{free_mb:,} MB free at {settings.home}", action)
    return Line("ok", "disk", f"{free_mb / 1024:,.1f} GB free at {settings.home}")


def _self_test(settings: Settings) -> Line:
    """Profile a small table and fit two learners on it in a worker, in a home of its own."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mle-star-doctor-") as folder:
        apart = settings.model_copy(update={"home": Path(folder)})
        try:
            state = anyio.run(partial(_tiny_job, apart))
        except (MleStarError, OSError) as error:
            return Line("broken", "self-test", str(error), "read the message; then reinstall the package")
    seconds = time.monotonic() - begin
    if state.status == "finished" and state.report:
        return Line("ok", "self-test", f"{state.report['summary']} ({seconds:.1f} s with the start of the worker)")
    why = state.error.message if state.error else f"not done after {SELF_TEST_PATIENCE_S:.0f} s"
    return Line("broken", "self-test", why, f"pip install --force-reinstall {DISTRIBUTION}; on Linux also libgomp1")


async def _tiny_job(settings: Settings) -> JobState:
    table = settings.home / "self_test.csv"
    _write_table(table)
    run = create_run(settings.home, "self_test")
    jobs = Jobs(settings)
    try:
        for name, arguments in (
            ("profile_dataset", {"path": str(table), "target": "answer"}),
            ("build_baselines", {"learners": ["dummy", "linear"]}),
        ):
            job_id = await jobs.submit(run, name, {**arguments, "time_budget_s": SELF_TEST_BUDGET_S})
            state = await jobs.wait(run, job_id, SELF_TEST_PATIENCE_S)
            if state.status != "finished":
                break
        return state
    finally:
        jobs.shutdown()


def _write_table(path: Path) -> None:
    """A numeric and a categorical column that say something about the answer."""
    generator = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["size", "colour", "answer"])
        for _ in range(SELF_TEST_ROWS):
            size, colour = generator.random(), generator.choice(["red", "green", "blue"])
            likely = size + 0.5 * (colour == "red") + 0.3 * generator.random() > 0.8
            writer.writerow([f"{size:.3f}", colour, "yes" if likely else "no"])
