"""Results for a person: the closing summary of a run (leaderboard to verdict and files), and the list of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..engine.run import open_run
from ..tools import list_runs
from ..tools.workspace import Workspace
from .job_state import read_state

ROWS_SHOWN = 8
_LEVEL_STYLE = {"HIGH": "bold red", "MEDIUM": "yellow", "LOW": "dim"}


def print_summary(console: Console, result: dict[str, Any], *, quiet: bool) -> None:
    """Print everything, or with `quiet` the verdict and the files only.

    `result` holds `run_id`, `status`, `seconds`, `phases` (reports by tool name) and `files` (paths by name).
    """
    phases = result["phases"]
    if not quiet:
        console.print()
        if baselines := phases.get("build_baselines"):
            _print_leaderboard(console, baselines)
        if ablation := phases.get("run_ablation"):
            _print_ablation(console, ablation)
        if refinement := phases.get("refine"):
            _print_refinement(console, refinement)
        if ensemble := phases.get("build_ensemble"):
            _print_ensemble(console, ensemble)
    if validation := phases.get("validate"):
        _print_verdict(console, validation)
    for name, path in result["files"].items():
        console.print(Text.assemble((f"{name:16} ", "bold"), path), soft_wrap=True)
    if not quiet:
        console.print(f"{result['run_id']} took {result['seconds']:.1f} s", style="dim")


def _say(console: Console, text: str | Text) -> None:
    """Print a sentence: broken between words on a terminal, one line elsewhere, for what reads it there."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _print_leaderboard(console: Console, report: dict[str, Any]) -> None:
    table = _table(f"Leaderboard ({report['metric']})", "solution", "score", "± fold sd", "fit s", "stage")
    rows = report["leaderboard"]
    last = [row for row in rows[ROWS_SHOWN:] if row["stage"] == "dummy"]
    for row in rows[:ROWS_SHOWN] + last:
        name = Text(f"{row['rank']:2}  {row['solution']}")
        table.add_row(name, f"{row['score']:.5g}", f"{row['std']:.2g}", f"{row['seconds']:.1f}", row["stage"])
    console.print(table)
    if report["simple_average"] is not None:
        console.print(f"Simple average of the best: {report['simple_average']:.5g}")
    console.print()


def _print_ablation(console: Console, report: dict[str, Any]) -> None:
    table = _table(
        "Ablation: score lost when a block is changed", "block → change", "impact", "95 % interval", "p", "level"
    )
    rows = report["impacts"][:ROWS_SHOWN]
    for row in rows:
        low, high = row["interval"]
        table.add_row(
            Text(f"{row['block']} → {row['change']}"),
            f"{row['impact']:+.3g}",
            f"{low:+.2g} … {high:+.2g}",
            f"{row['p_value']:.2g}",
            Text(row["level"], style=_LEVEL_STYLE.get(row["level"], "")),
        )
    console.print(table if rows else Text("Ablation", style="bold"))
    _say(console, report["summary"])
    console.print()


def _print_refinement(console: Console, report: dict[str, Any]) -> None:
    console.print("Refinement", style="bold")
    _say(console, report["summary"])
    for line in report["kept"]:
        _say(console, Text.assemble(("kept  ", "green"), line))
    if report["plans"] and not report["kept"]:
        _say(console, "kept  nothing: no plan beat the noise of the folds")
    console.print()


def _print_ensemble(console: Console, report: dict[str, Any]) -> None:
    console.print("Ensemble", style="bold")
    _say(console, report["summary"])
    for row in report["members"][:ROWS_SHOWN]:
        weight = "     " if row["weight"] is None else f"{row['weight']:5.2f}"
        _say(console, f"{weight}  {row['solution']}")
    console.print()


def _print_verdict(console: Console, report: dict[str, Any]) -> None:
    ready = report["verdict"] == "READY"
    console.print(Text.assemble("Verdict: ", (report["verdict"], "bold green" if ready else "bold red")), style="bold")
    for reason in report["reasons"]:
        _say(console, f"- {reason}")
    estimates = [_estimate("cross-validation", report["cross_validation"], report["cross_validation_interval"])]
    if report["holdout"] is not None:
        estimates.append(_estimate("sealed holdout", report["holdout"], report["holdout_interval"]))
    _say(console, f"{report['metric']}: {', '.join(estimates)}")
    for gate in report["gates"]:
        style = {"passed": "green", "failed": "red"}.get(gate["status"], "dim")
        _say(console, Text.assemble("gate ", (f"{gate['status']:14}", style), f" {gate['name']}: {gate['note']}"))
    for finding in report["findings"]:
        if finding["severity"] != "info":
            _say(console, f"{finding['severity']} {finding['code']}: {finding['title']}; {finding['action']}")
    console.print()


def _estimate(name: str, score: float, interval: list[float] | None) -> str:
    return f"{name} {score:.5g}" + (f" ({interval[0]:.5g} … {interval[1]:.5g})" if interval else "")


def print_runs(console: Console, home: Path) -> None:
    """Print all runs, newest first, or how to start one."""
    report = anyio.run(list_runs.answer, list_runs.ListRunsRequest(limit=200), Workspace(home))
    if not report.runs:
        console.print("There is no run yet; mle-star run --dataset FILE --target COLUMN makes one.", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "opened (UTC)", "status", "task", "metric", "target", "last step"):
        table.add_column(column, overflow="fold")
    for row in report.runs:
        state = read_state(open_run(home, row.run_id))
        status = state.status if state else row.status
        table.add_row(row.run_id, row.opened, status, row.task, row.metric, Text(row.target), row.last_step)
    console.print(table)
    console.print(report.summary, markup=False)
