"""cancel_run: end the job of a run; everything it had finished is kept."""

from __future__ import annotations

from .contract import Report, RunRequest, Tool, call
from .workspace import Workspace


class CancelReport(Report):
    """How the job ended; `finished` when it was faster."""

    job: str = ""


async def answer(request: RunRequest, workspace: Workspace) -> CancelReport:
    """End the job if there is one."""
    run = workspace.run(request.run_id)
    before = workspace.jobs.state(run)
    if before is None or before.status != "running":
        status = before.status if before is not None else "finished"
        return CancelReport(
            run_id=run.run_id, status=status, summary="Nothing was running.", next=call("get_run", run.run_id)
        )
    after = await workspace.jobs.cancel(run)
    status = after.status if after is not None else "cancelled"
    return CancelReport(
        run_id=run.run_id,
        status=status,
        job=before.tool,
        summary=f"{before.tool} is {status}; everything it had finished is kept.",
        next=f"{before.tool} with the same arguments resumes",
    )


TOOL = Tool(
    name="cancel_run",
    title="Cancel a run's job",
    description=(
        "Ends the job that works on a run, within two seconds. Every finished evaluation is kept, and the same call resumes. "
        "Next: get_run, or another step."
    ),
    request=RunRequest,
    report=CancelReport,
    answer=answer,
    destructive=True,
)
