"""get_run: how a run stands, with a bounded wait for its job."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ..engine.journal import Entry
from .contract import Detail, Report, RunRequest, Tool, WaitSeconds, call
from .workspace import Job, Workspace, progress_of

BRIEF_CHARACTERS = 4_500
"""A result longer than this is shown with detail=full only."""
_SUMMARY_CHARACTERS = 160


class GetRunRequest(RunRequest):
    """Arguments of `get_run`."""

    wait_s: WaitSeconds = 0.0
    detail: Annotated[Detail, Field(description="full: the newest result in full, and whole summaries.")] = "brief"


class StepRow(BaseModel):
    """A step that has finished."""

    tool: str
    summary: str


class RunReport(Report):
    """A run and its newest job."""

    target: str = ""
    task: str = ""
    metric: str = ""
    job: str = Field(default="", description="The tool that works or worked last.")
    seconds: float = Field(default=0.0, description="How long it has worked, while running.")
    error: str = ""
    steps: list[StepRow] = Field(default_factory=list)
    result: dict[str, Any] = Field(default_factory=dict, description="Report of the newest job.")
    plots: list[str] = Field(default_factory=list, description="Of the newest job, see validate.")


async def answer(request: GetRunRequest, workspace: Workspace) -> RunReport:
    """Wait, then tell."""
    run = workspace.run(request.run_id)
    seen = workspace.jobs.state(run)
    job = await workspace.jobs.wait(run, request.wait_s)
    report = RunReport(run_id=run.run_id, steps=_steps(list(run.journal.read("report")), request.detail))
    if (profile := run.journal.last("profile")) is not None:
        task = profile.body["task"]
        report.target, report.task, report.metric = profile.body["target"], task["kind"], task["metric"]
    if job is None:
        report.summary, report.next = f"{run.run_id} has no job yet.", "profile_dataset(path, target)"
        return report
    report.status, report.job = job.status, job.tool
    if job.status == "running":
        report.seconds = round(job.worked_s, 1)
        report.progress = progress_of(job)
        doing = f"waits for its turn, {report.progress.message}" if job.queued else "has worked"
        report.summary = f"{job.tool} {doing} for {report.seconds:.0f} s."
        report.next = call("get_run", run.run_id, wait_s=45)
    elif job.report is not None:
        report.summary, report.next = str(job.report.get("summary", "")), str(job.report.get("next", ""))
        report.windows_changed = list(job.report.get("windows_changed", []))
        report.plots = list(job.report.get("plots", []))
        shown = request.detail == "full" or not (seen is not None and seen.delivered)
        if shown:
            report.result = _result(job, request.detail, report.notes)
    else:
        report.error = job.error.message if job.error else ""
        report.summary = f"{job.tool}: {job.status}."
        report.next = f"{job.tool} with the same arguments resumes" if job.status != "failed" else "see error"
    return report


def _steps(entries: list[Entry], detail: Detail) -> list[StepRow]:
    """The newest report of each tool, in the order of their work."""
    newest = {entry.body["tool"]: entry for entry in entries}
    rows = []
    for entry in sorted(newest.values(), key=lambda entry: entry.seq):
        summary = str(entry.body["report"].get("summary", ""))
        if detail == "brief" and len(summary) > _SUMMARY_CHARACTERS:
            summary = summary[:_SUMMARY_CHARACTERS] + "…"
        rows.append(StepRow(tool=entry.body["tool"], summary=summary))
    return rows


def _result(job: Job, detail: Detail, notes: list[str]) -> dict[str, Any]:
    """The newest job's report without what stands in this one already."""
    known = {"run_id", "status", "summary", "next", "windows_changed", "progress", "plots"}
    result = {
        name: value for name, value in (job.report or {}).items() if name not in known and value not in ([], {}, "")
    }
    if detail == "brief" and len(json.dumps(result)) > BRIEF_CHARACTERS:
        notes.append("the result is long; detail='full' shows it")
        return {}
    return result


TOOL = Tool(
    name="get_run",
    title="Get a run",
    description=(
        "How a run stands: the job at work with its progress, or its result. wait_s waits for the job to end, at most so long. "
        "Use it after a tool answered status=running, or to resume a run. Milliseconds plus the wait."
    ),
    request=GetRunRequest,
    report=RunReport,
    answer=answer,
    read_only=True,
)
