"""The contract of agent tools: what every file in `tools/` that exports TOOL promises to a client."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mle_star.engine.registry import discover
from mle_star.server.app import INSTRUCTIONS, ORDER
from mle_star.server.schemas import input_schema, output_schema
from mle_star.server.structured import tool_result
from mle_star.tools.contract import JobRequest, Report, Tool

TOOLS: dict[str, Tool] = discover("mle_star.tools", "TOOL")
each_tool = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())


def test_the_workflow_is_complete() -> None:
    assert set(ORDER) <= set(TOOLS)


@each_tool
def test_name_title_and_description_fit_a_tool_list(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,40}", tool.name)
    assert tool.title
    assert 40 <= len(tool.description) <= 300
    assert tool.description == " ".join(tool.description.split())


@each_tool
def test_it_either_works_or_answers(tool: Tool) -> None:
    assert (tool.work is None) != (tool.answer is None)
    assert issubclass(tool.request, JobRequest) == (tool.work is not None)
    assert issubclass(tool.report, Report)


@each_tool
def test_it_needs_only_tools_that_exist_and_never_itself(tool: Tool) -> None:
    assert set(tool.after) <= set(TOOLS) - {tool.name}
    assert 0 <= tool.window <= 7
    assert not (tool.read_only and (tool.destructive or tool.window))


@each_tool
def test_arguments_are_flat_described_and_bounded(tool: Tool) -> None:
    schema = input_schema(tool.request)
    Draft202012Validator.check_schema(schema)
    assert "$ref" not in json.dumps(schema)
    for name, field in schema["properties"].items():
        assert field.get("description") or name in {"seed"}, name
        if field.get("type") == "number":
            assert {"maximum", "exclusiveMaximum"} & field.keys(), name


@each_tool
def test_arguments_nobody_knows_are_refused(tool: Tool) -> None:
    assert input_schema(tool.request)["additionalProperties"] is False
    assert tool.request.model_config["extra"] == "forbid"


@each_tool
def test_an_empty_report_fits_its_own_schema(tool: Tool) -> None:
    schema = output_schema(tool.report)
    Draft202012Validator.check_schema(schema)
    sent = tool_result(tool.report().model_dump(mode="json")).structured_content
    Draft202012Validator(schema).validate(sent)


def test_the_instructions_fit_and_name_every_step() -> None:
    assert len(INSTRUCTIONS.encode()) < 2048
    for name in ORDER:
        assert name in INSTRUCTIONS or name == "list_runs"


def test_a_report_that_is_too_long_is_cut_and_says_so() -> None:
    rows: list[dict[str, Any]] = [{"row": number, "text": "x" * 100} for number in range(2_000)]
    sent = tool_result({"run_id": "run_a_0001", "status": "finished", "summary": "s", "next": "n", "rows": rows})
    assert sent.structured_content is not None
    assert len(json.dumps(sent.structured_content)) <= 40_500
    assert sent.structured_content["notes"] == ["rows: the first 250 of 2,000"]


def test_a_result_links_to_the_windows_it_changed_and_the_files_it_wrote() -> None:
    report = {"run_id": "run_a_0001", "status": "finished", "summary": "s", "next": "n", "windows_changed": [1, 7]}
    links = {link.uri: link for link in tool_result(report, "validate").content[1:]}
    assert list(links) == [
        "context7://runs/run_a_0001/windows/1",
        "context7://runs/run_a_0001/windows/7",
        "mlestar://runs/run_a_0001/report.html",
        "mlestar://runs/run_a_0001/leaderboard.csv",
    ]
    assert all(link.type == "resource_link" and link.name for link in links.values())
    assert len(tool_result({**report, "status": "running"}, "validate").content) == 1
    assert len(tool_result({"status": "finished", "summary": "s", "next": "n"}).content) == 1
