"""What the command line shows while a run goes on: live bars on a terminal, plain lines elsewhere, or JSON events.

A display is fed the run's journal, so it shows the same for every kind of job. The closing summary is in `summary.py`.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from ..engine.journal import Entry
from ..engine.solution import Solution
from .summary import print_summary

if TYPE_CHECKING:
    from .cli import OutputFormat

PLAIN_INTERVAL_S = 5.0
"""Without a terminal a progress line appears at most this often."""
PLAIN_WIDTH = 120
"""Columns of a table that is written to a file or a pipe."""
_CLOCK_WIDTH = 10
"""Characters of the seconds before a line; on a terminal its further rows start below its text."""


class Display(Protocol):
    """Shows one run. Used from one thread; `close` is always called, also after an error."""

    def opened(self, run_id: str, about: dict[str, Any]) -> None:
        """The run has its folder; `about` holds what the user asked for."""

    def entry(self, entry: Entry) -> None:
        """One new line of the journal, in order."""

    def result(self, result: dict[str, Any]) -> None:
        """The outcome: `run_id`, `status`, `seconds`, `reports` by phase, `files`."""

    def close(self) -> None:
        """Give the terminal back."""


def make_display(output_format: OutputFormat, *, quiet: bool, verbose: bool) -> Display:
    """Choose the display for the command line's options."""
    if output_format == "json":
        return JsonDisplay()
    if output_format == "stream-json":
        return StreamDisplay(verbose=verbose)
    console = text_console()
    return TextDisplay(console, quiet=quiet, verbose=verbose)


def text_console() -> Console:
    """Return the console for results: as wide as the terminal, or a fixed width without one."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=PLAIN_WIDTH, highlight=False)


def phase_title(phase: str) -> str:
    """`run_ablation` → `Run ablation`."""
    return phase.replace("_", " ").capitalize()


class JsonDisplay:
    """One JSON document at the end and nothing before it."""

    def opened(self, run_id: str, about: dict[str, Any]) -> None:
        """Say nothing."""

    def entry(self, entry: Entry) -> None:
        """Say nothing."""

    def result(self, result: dict[str, Any]) -> None:
        """Print the document."""
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is held."""


class StreamDisplay:
    """One JSON event a line: `run_started`, `phase_started`, `progress`, `phase_finished`, `run_finished`.

    With `verbose` also `evaluation`, one for each scored solution. Every event has `event`, `run_id` and `at` (seconds since the
    epoch).
    """

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._run_id = ""
        self._report: dict[str, Any] = {}

    def opened(self, run_id: str, about: dict[str, Any]) -> None:
        """Print `run_started`."""
        self._run_id = run_id
        self._print("run_started", time.time(), about)

    def entry(self, entry: Entry) -> None:
        """Print the event of a journal entry, if it has one."""
        if entry.kind == "report":
            self._report = entry.body["report"]
        elif entry.kind == "phase":
            body = {key: value for key, value in entry.body.items() if key != "status"}
            if entry.body["status"] == "finished":
                body["report"] = self._report
            self._print(f"phase_{entry.body['status']}", entry.at, body)
        elif entry.kind == "progress" or (entry.kind == "evaluation" and self._verbose):
            self._print(entry.kind, entry.at, entry.body)

    def result(self, result: dict[str, Any]) -> None:
        """Print `run_finished` with the whole result."""
        self._print("run_finished", time.time(), result)

    def close(self) -> None:
        """Nothing is held."""

    def _print(self, event: str, at: float, body: dict[str, Any]) -> None:
        line = {"event": event, "run_id": self._run_id, "at": round(at, 3), **body}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class _TimeLeft(ProgressColumn):
    """The phase's time left, counted down between the events that say it."""

    def render(self, task: Task) -> Text:
        """Return it in whole seconds; nothing where no event said it."""
        until = task.fields["until"]
        return Text("" if until is None else f"{max(0.0, until - time.time()):.0f} s left")


class TextDisplay:
    """For a person: a bar for the phase in hand on a terminal, a line now and then elsewhere, then the summary."""

    def __init__(self, console: Console, *, quiet: bool, verbose: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._verbose = verbose
        self._start = time.monotonic()
        self._last_line = -PLAIN_INTERVAL_S
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.fields[phase]}", style="bold", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}", markup=False),
                TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
                _TimeLeft(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, phase="Starting", count="", note="", until=None)
            self._bar.start()

    def opened(self, run_id: str, about: dict[str, Any]) -> None:
        """Say which run this is."""
        self._line(f"{run_id}: {about['dataset']}, target {about['target']}, {about['time_budget_s']:.0f} s")

    def entry(self, entry: Entry) -> None:
        """Show a phase's start and end, and progress within it."""
        if entry.kind == "phase":
            self._show_phase(entry.body)
        elif entry.kind == "progress":
            self._show_progress(entry.at, entry.body)
        elif entry.kind == "evaluation" and self._verbose:
            mean = entry.body["mean"]
            shown = entry.body["failure"]["kind"] if mean is None else f"{mean:.5g}"
            self._line(f"  {shown:>10}  {Solution.from_json(entry.body['solution']).describe()}")

    def result(self, result: dict[str, Any]) -> None:
        """Print the closing summary."""
        self.close()
        print_summary(self._console, result, quiet=self._quiet)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _show_phase(self, body: dict[str, Any]) -> None:
        title = phase_title(body["phase"])
        if body["status"] == "started":
            if self._bar:
                self._bar.update(self._task, phase=title, count="", note="", until=None, completed=0, total=None)
            else:
                self._line(title)
            return
        self._line(f"{title} ({body['seconds']:.1f} s): {body['summary']}")

    def _show_progress(self, at: float, body: dict[str, Any]) -> None:
        parts = [body["message"]]
        if body.get("best_score") is not None:
            parts.append(f"best {body['best_score']:.5g}")
        done, total, left_s = body.get("done", 0), body.get("total") or None, body.get("seconds_left")
        count = f"{done}/{total}" if total else ""
        if self._bar:
            until = None if left_s is None else at + left_s
            note = " · ".join(parts)
            self._bar.update(self._task, count=count, note=note, until=until, completed=done, total=total)
            return
        now = time.monotonic()
        if now - self._last_line >= PLAIN_INTERVAL_S:
            if left_s is not None:
                parts.append(f"{left_s:.0f} s left")
            title = f"{phase_title(body['phase'])} {count}".strip()
            self._line(f"  {title}: {' · '.join(parts)}")
            self._last_line = now

    def _line(self, text: str) -> None:
        if not self._quiet:
            elapsed = time.monotonic() - self._start
            line = f"{elapsed:6.1f} s  {text}"
            if self._console.is_terminal:
                line = textwrap.fill(line, self._console.width, subsequent_indent=" " * _CLOCK_WIDTH)
            self._console.print(line, markup=False, soft_wrap=True)
