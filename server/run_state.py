"""A whole run as one JSON document, and the page that shows it: beside a conversation as an MCP App, or in a browser over HTTP."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from mcp.server.apps import Apps

from ..engine.run import RunFolder
from .job_state import JobState, read_state

PAGE_URI = "ui://mle-star/run.html"
APP_META: dict[str, Any] = {"ui": {"resourceUri": PAGE_URI}}
"""What a tool carries whose results the page shows."""


@cache
def run_page() -> str:
    """The page's HTML; it loads nothing and needs no network but its own server or host."""
    return Path(__file__).with_name("run_page.html").read_text(encoding="utf-8")


def run_app() -> Apps:
    """Return the extension with the page as its resource; hosts without apps get the same reports as text and links."""
    apps = Apps()
    apps.add_html_resource(
        PAGE_URI,
        run_page(),
        name="run_page",
        title="A run, live",
        description="Phase, leaderboard, ablation, refinement, ensemble and gates of a run, as they come in.",
        prefers_border=True,
    )
    return apps


def reports_of(run: RunFolder) -> dict[str, Any]:
    """The newest report of every step that has finished, by tool."""
    return {entry.body["tool"]: entry.body["report"] for entry in run.journal.read("report")}


def run_state(run: RunFolder) -> dict[str, Any]:
    """Where a run stands and all it has found out."""
    job, profile, phase = read_state(run), run.journal.last("profile"), run.journal.last("phase")
    reports, newest = reports_of(run), run.journal.last("report")
    return {
        "run_id": run.run_id,
        "status": job.status if job else "finished" if reports else "",
        "job": job.tool if job else "",
        # A job does what its step needs and does not have yet before it.
        "step": phase.body["phase"] if phase and job and job.status == "running" and phase.at >= job.started_at else "",
        "seconds": _seconds(job) if job else None,
        "progress": job.progress if job and job.status == "running" else None,
        "error": job.error.message if job and job.error else "",
        "summary": job.error.message
        if job and job.error
        else newest.body["report"].get("summary", "")
        if newest
        else "",
        "target": profile.body["target"] if profile else "",
        "task": profile.body["task"]["kind"] if profile else "",
        "metric": profile.body["task"]["metric"] if profile else "",
        "reports": reports,
    }


def _seconds(job: JobState) -> float:
    """How long a job has worked, or worked until it ended, as far as that is known."""
    return round(job.worked_s if job.ended_at is None else job.ended_at - job.started_at, 1)
