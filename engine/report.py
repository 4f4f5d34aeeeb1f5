"""The report of a run: what the journal and the validation know, as JSON, one self-contained HTML page, and the leaderboard
as CSV. Text from the data is untrusted: the template escapes it, and the page forbids scripts and loads."""

from __future__ import annotations

import csv
import json
import logging
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .decision import rewards_decisions
from .experiment import Experiment
from .final import Chosen, chosen, out_of_fold
from .gates import written
from .leaderboard import leaderboard
from .task import Task
from .validation import Validation

if TYPE_CHECKING:
    from .plots import Picture

log = logging.getLogger(__name__)

_LEADERBOARD_ROWS = 25
_ISSUES = 40


@dataclass(frozen=True)
class ReportFiles:
    """What was written."""

    html: Path
    json: Path
    leaderboard: Path
    plots: tuple[str, ...] = ()
    """Names of the PNG files in `reports/plots`, without the ending."""


def write_report(experiment: Experiment, validation: Validation) -> ReportFiles:
    """Write `report.json`, `leaderboard.csv`, `report.html` and `plots/*.png`; plots are left out when time is over."""
    folder = experiment.run.reports_path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    body = collect(experiment, validation)
    files = ReportFiles(folder / "report.html", folder / "report.json", folder / "leaderboard.csv")
    _replace(files.json, json.dumps(body, indent=1, allow_nan=False))
    _write_leaderboard(files.leaderboard, body["leaderboard"])
    pictures = {} if experiment.deadline.passed else draw(experiment, body)
    _replace(files.html, render(body, {name: picture.svg for name, picture in pictures.items()}))
    _write_plots(experiment.run.plots_path, pictures)
    return replace(files, plots=tuple(pictures))


def collect(experiment: Experiment, validation: Validation) -> dict[str, Any]:
    """Gather the whole report as a JSON-ready mapping."""
    journal, dataset, task = experiment.run.journal, experiment.dataset, experiment.task
    ablation, ensemble = journal.last("ablation"), journal.last("ensemble")
    opened = next(iter(journal.read("profile")), None)
    about = experiment.run.model_path / "about.json"
    return {
        "run_id": experiment.run.run_id,
        "written_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seconds": round(max(0.0, time.time() - opened.at), 1) if opened else None,
        "dataset": {
            "name": dataset.name,
            "target": dataset.target,
            "rows": dataset.n_rows,
            "columns": dataset.frame.shape[1],
            "fingerprint": dataset.fingerprint,
            "roles": dict(experiment.profile.get("columns", {})),
            "classes": list(dataset.classes[:50]),
            "issues": [asdict(issue) for issue in dataset.issues[:_ISSUES]],
            "issue_count": len(dataset.issues),
        },
        "task": {
            "kind": task.kind,
            "metric": task.metric.key,
            "metric_title": task.metric.title,
            "greater_is_better": task.metric.greater_is_better,
            "predictions_drawn_as": _drawn_as(task),
        },
        "split": {
            "kind": experiment.split.kind,
            "reason": experiment.split.reason,
            "development": len(experiment.split.development),
            "holdout": len(experiment.split.holdout),
            "folds": len(experiment.evaluator.folds),
            "max_rows": experiment.plan.max_rows,
        },
        "seed": experiment.seed,
        "threads": experiment.resources.threads,
        "python": platform.python_version(),
        "environment": json.loads(about.read_text())["environment"] if about.is_file() else {},
        "model_path": str(experiment.run.model_path),
        "leaderboard": _leaderboard(experiment),
        "tried": _tried(experiment),
        "ablation": ablation.body if ablation else None,
        "refinement": [entry.body for entry in journal.read("refinement")],
        "ensemble": _named_members(ensemble.body) if ensemble else None,
        "validation": validation.to_json(),
    }


def _leaderboard(experiment: Experiment) -> list[dict[str, Any]]:
    return [
        {
            "rank": number + 1,
            "model": row.evaluation.solution.model.component,
            "solution": row.evaluation.solution.describe(),
            "mean": row.evaluation.mean,
            "std": row.evaluation.std,
            "seconds": row.evaluation.seconds,
            "stage": row.origin,
            "key": row.evaluation.key,
        }
        for number, row in enumerate(leaderboard(experiment))
    ]


def _tried(experiment: Experiment) -> list[dict[str, Any]]:
    """Scored solutions on the run's own folds, oldest first."""
    plan = experiment.plan.to_json()
    return [
        {"mean": entry.body["mean"], "stage": entry.body["origin"]}
        for entry in experiment.run.journal.read("evaluation")
        if entry.body["plan"] == plan and entry.body["failure"] is None
    ]


def _named_members(body: dict[str, Any]) -> dict[str, Any]:
    members = [
        {**row, "solution": " → ".join(block["component"] for block in row["solution"])} for row in body["members"]
    ]
    return {**body, "members": sorted(members, key=lambda row: -(row["weight"] or 0.0))}


def draw(experiment: Experiment, body: dict[str, Any]) -> dict[str, Picture]:
    """Draw the plots by name; one that fails or comes too late is left out of the page and logged."""
    pictures: dict[str, Picture] = {}
    for name, make in _drawings(experiment, body):
        if experiment.deadline.passed:
            break
        try:
            pictures[name] = make()
        except (ValueError, ArithmeticError, LookupError, TypeError):
            log.warning("plot %s failed", name, exc_info=True)
    return pictures


def _drawings(experiment: Experiment, body: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Picture]]]:
    from . import plots

    metric, validation = body["task"]["metric_title"], body["validation"]
    holdout = validation["holdout"]
    yield (
        "estimates",
        lambda: plots.estimates(
            metric,
            validation["cv_scores"],
            (validation["cv_score"], validation["cv_interval"]),
            (holdout["score"], holdout["interval"]) if holdout else None,
            [(row["baseline"], row["score"]) for row in validation["improvements"]],
        ),
    )
    if body["ablation"] and body["ablation"]["rows"]:
        yield "impacts", lambda: plots.impacts(metric, body["ablation"]["rows"])
    if len(body["tried"]) > 2:
        yield (
            "progress",
            lambda: plots.progress(
                metric,
                [row["mean"] for row in body["tried"]],
                [row["stage"] for row in body["tried"]],
                body["task"]["greater_is_better"],
            ),
        )
    if validation["examination"] and validation["examination"]["importance"]:
        yield "importance", lambda: plots.importance(metric, validation["examination"]["importance"])
    yield "predictions", lambda: _predictions(experiment, chosen(experiment))


def _drawn_as(task: Task) -> str:
    """What tells most about predictions. Chances that are corrected for a decision would look wrong beside the shares they meet."""
    if not task.is_classification:
        return "residuals"
    return "calibration" if task.kind == "binary" and not rewards_decisions(task) else "confusion"


def _predictions(experiment: Experiment, choice: Chosen) -> Picture:
    """Out-of-fold predictions as `_drawn_as` says."""
    from . import plots

    rows, task = experiment.evaluator.covered, experiment.task
    y, oof = experiment.dataset.y[rows], out_of_fold(experiment, choice)[rows]
    drawn_as = _drawn_as(task)
    if drawn_as == "calibration":
        return plots.calibration(y, oof[:, 1], task.classes[1])
    if drawn_as == "confusion":
        return plots.confusion(y, oof.argmax(axis=1), task.classes)
    return plots.residuals(y, oof[:, 0], experiment.dataset.target, experiment.seed)


def render(body: dict[str, Any], pictures: dict[str, str]) -> str:
    """Render the page; everything but our own SVG is escaped."""
    environment = Environment(
        loader=PackageLoader(__package__ or "", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(score=_score, signed=_signed, interval=_interval, unit=written, probability=_probability)
    return environment.get_template("report.html.j2").render(
        **body,
        shown=body["leaderboard"][:_LEADERBOARD_ROWS],
        pictures={name: Markup(svg) for name, svg in pictures.items()},  # noqa: S704 - drawn here, names escaped by the SVG writer
        model_argument=shlex.quote(body["model_path"]),
    )


def _score(value: float | None) -> str:
    """Five significant digits, thousands separated."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def _interval(value: list[float] | None) -> str:
    return "–" if not value else f"{_score(float(f'{value[0]:.4g}'))} … {_score(float(f'{value[1]:.4g}'))}"


def _probability(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _write_leaderboard(path: Path, rows: list[dict[str, Any]]) -> None:
    staging = path.with_name(f".{path.name}")
    with staging.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["rank", "model", "mean", "std", "seconds", "stage", "solution", "key"])
        writer.writeheader()
        writer.writerows(rows)
    staging.replace(path)


def _write_plots(folder: Path, pictures: dict[str, Picture]) -> None:
    """Write the pictures, and remove those of an earlier report."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, picture in pictures.items():
        _replace(folder / f"{name}.png", picture.png)
    for path in folder.glob("*.png"):
        if path.stem not in pictures:
            path.unlink()


def _replace(path: Path, content: str | bytes) -> None:
    """Write a file that appears complete or not at all."""
    staging = path.with_name(f".{path.name}-{os.getpid()}")
    staging.write_bytes(content.encode() if isinstance(content, str) else content)
    staging.replace(path)


__all__ = ["ReportFiles", "collect", "draw", "render", "write_report"]
