"""What calls and jobs tell those who watch the server: facts for the log lines of a request, and OpenTelemetry spans.

The SDK makes a span of every call, with the tool's name; the run and the outcome are added here, and a span of every job
whose end a client was told. Spans go nowhere unless the process was started with a tracer provider (`opentelemetry-instrument
mle-star serve`).
"""

from __future__ import annotations

from contextvars import ContextVar

from mcp_types import CallToolResult
from opentelemetry.context import Context
from opentelemetry.trace import Link, StatusCode, get_current_span, get_tracer

from ..engine.run import RunFolder
from .job_state import JobState

facts: ContextVar[dict[str, str] | None] = ContextVar("facts", default=None)
"""What every log line of a request carries; None outside one."""

_tracer = get_tracer("mle-star")


def add_facts(**known: str) -> None:
    """Note what has become known about the request at work; goes to the log, not to the client."""
    noted = facts.get()
    if noted is not None:
        noted.update({name: value for name, value in known.items() if value})


def tell_of_call(tool: str, result: CallToolResult) -> None:
    """Note how a call was answered."""
    report = result.structured_content or {}
    run_id = str(report.get("run_id", ""))
    outcome = "error" if result.is_error else str(report.get("status", ""))
    add_facts(tool=tool, run_id=run_id, outcome=outcome)
    span = get_current_span()
    span.set_attribute("mle_star.outcome", outcome)
    if run_id:
        span.set_attribute("mle_star.run_id", run_id)


def tell_of_job(run: RunFolder, state: JobState) -> None:
    """Record the span of a job that has ended, when the first client is told; it is linked to that client's call."""
    if state.delivered or state.ended_at is None:
        return
    span = _tracer.start_span(
        f"job {state.tool}",
        context=Context(),
        links=[Link(get_current_span().get_span_context())],
        start_time=_nanoseconds(state.started_at),
        attributes={
            "gen_ai.tool.name": state.tool,
            "mle_star.run_id": run.run_id,
            "mle_star.job_id": state.job_id,
            "mle_star.outcome": state.status,
        },
    )
    if state.error is not None:
        span.set_attribute("error.type", state.error.kind)
        span.set_status(StatusCode.ERROR)
    span.end(_nanoseconds(state.ended_at))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
