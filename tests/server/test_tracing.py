"""Those who watch the server see every call and every job with its run and its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp.client import Client
from mle_star.server.app import build_server
from mle_star.server.settings import Settings
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from served import structured

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    # A process has one provider for good; nothing else in the tests looks at it.
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    return provider


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    yield exporter
    processor.shutdown()


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_call_and_its_job_are_spans_with_run_and_outcome(
    spans: InMemorySpanExporter, settings: Settings, data: Path, era: Literal["auto", "legacy"]
) -> None:
    table = data / "table.csv"
    table.write_text("a,y\n" + "".join(f"{number},{number % 2}\n" for number in range(80)), encoding="utf-8")
    async with Client(build_server(settings), mode=era) as client:
        report = structured(
            await client.call_tool("profile_dataset", {"path": str(table), "target": "y", "wait_s": 60})
        )
        assert (await client.call_tool("get_run", {"run_id": "run_nobody_0001"})).is_error
    called = [span for span in finished(spans) if span.kind == SpanKind.SERVER and "tools/call" in span.name]
    first, refused = (dict(span.attributes or {}) for span in called)
    assert first["gen_ai.tool.name"] == "profile_dataset"
    assert (first["mle_star.run_id"], first["mle_star.outcome"]) == (report["run_id"], "finished")
    assert (refused["mle_star.outcome"], refused["error.type"]) == ("error", "tool_error")
    (job,) = (span for span in finished(spans) if span.name == "job profile_dataset")
    assert dict(job.attributes or {})["mle_star.run_id"] == report["run_id"]
    assert job.end_time is not None
    assert job.start_time is not None
    assert 0 < job.end_time - job.start_time < 60e9
    assert [link.context.span_id for link in job.links] == [span_id(called[0])]


def finished(spans: InMemorySpanExporter) -> tuple[ReadableSpan, ...]:
    return spans.get_finished_spans()


def span_id(span: Any) -> int:
    return int(span.context.span_id)
