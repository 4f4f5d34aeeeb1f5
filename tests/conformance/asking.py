"""Fixtures that ask the client: by a request of their own before 2026, by an "input required" result since."""

from __future__ import annotations

import json
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    InputResponse,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

Answer = str | InputRequiredResult
ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {
        "type": "string",
        "oneOf": [{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}],
    },
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
    "titledMulti": {
        "type": "array",
        "items": {
            "anyOf": [{"const": "value1", "title": "First Choice"}, {"const": "value2", "title": "Second Choice"}]
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}


def add(server: MCPServer[None]) -> None:
    for tool in (
        test_sampling, test_elicitation, test_elicitation_sep1034_defaults, test_elicitation_sep1330_enums,
        test_streaming_elicitation, test_input_required_result_elicitation, test_input_required_result_sampling,
        test_input_required_result_list_roots, test_input_required_result_request_state,
        test_input_required_result_tampered_state, test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round, test_input_required_result_capabilities, confirm_delete,
    ):  # fmt: skip
        server.add_tool(tool, description="A fixture.", structured_output=False)
    server.prompt(description="A fixture.")(test_input_required_result_prompt)


async def test_sampling(prompt: str, ctx: Context[None, Any]) -> str:
    answer = await ctx.session.create_message([_said(prompt)], max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {_text(answer)}"


async def test_elicitation(message: str, ctx: Context[None, Any]) -> str:
    fields = {"username": {"type": "string"}, "email": {"type": "string"}}
    return f"User response: {await _elicit(ctx, message, fields, ['username', 'email'])}"


async def test_elicitation_sep1034_defaults(ctx: Context[None, Any]) -> str:
    return f"Elicitation completed: {await _elicit(ctx, 'Please check', DEFAULTS, [])}"


async def test_elicitation_sep1330_enums(ctx: Context[None, Any]) -> str:
    return f"Elicitation completed: {await _elicit(ctx, 'Please choose', ENUMS, [])}"


def test_streaming_elicitation(ctx: Context[None, Any]) -> Answer:
    return test_input_required_result_elicitation(ctx)


def test_input_required_result_elicitation(ctx: Context[None, Any]) -> Answer:
    name = form(ctx, "user_name").get("name")
    if not isinstance(name, str):
        return InputRequiredResult(input_requests={"user_name": question("What is your name?", name="string")})
    return f"Hello, {name}!"


def test_input_required_result_sampling(ctx: Context[None, Any]) -> Answer:
    answer = _answer(ctx, "capital_question")
    if not isinstance(answer, CreateMessageResult):
        return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?")})
    return _text(answer)


def test_input_required_result_list_roots(ctx: Context[None, Any]) -> Answer:
    answer = _answer(ctx, "client_roots")
    if not isinstance(answer, ListRootsResult):
        return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
    return ", ".join(str(root.uri) for root in answer.roots)


def test_input_required_result_request_state(ctx: Context[None, Any]) -> Answer:
    if ctx.request_state is None or _answer(ctx, "confirm") is None:
        return InputRequiredResult(
            input_requests={"confirm": question("Please confirm", ok="boolean")}, request_state="asked"
        )
    return "state-ok" if ctx.request_state == "asked" else "state-wrong"


def test_input_required_result_tampered_state(ctx: Context[None, Any]) -> Answer:
    return test_input_required_result_request_state(ctx)


def test_input_required_result_multiple_inputs(ctx: Context[None, Any]) -> Answer:
    wanted: dict[str, InputRequest] = {
        "user_name": question("What is your name?", name="string"),
        "greeting": _sample("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if any(_answer(ctx, name) is None for name in wanted):
        return InputRequiredResult(input_requests=wanted, request_state="asked")
    return "all three were answered"


def test_input_required_result_multi_round(ctx: Context[None, Any]) -> Answer:
    if ctx.request_state is None:
        first = {"step1": question("Step 1: What is your name?", name="string")}
        return InputRequiredResult(input_requests=first, request_state="{}")
    known = json.loads(ctx.request_state) | form(ctx, "step1") | form(ctx, "step2")
    if "color" not in known:
        second = {"step2": question("Step 2: What is your favorite color?", color="string")}
        return InputRequiredResult(input_requests=second, request_state=json.dumps(known))
    return f"{known['name']} likes {known['color']}"


def test_input_required_result_capabilities(ctx: Context[None, Any]) -> Answer:
    declared = ctx.client_capabilities
    wanted: dict[str, InputRequest] = {}
    if declared is not None and declared.sampling is not None:
        wanted["greeting"] = _sample("Generate a greeting")
    if declared is not None and declared.elicitation is not None:
        wanted["user_name"] = question("What is your name?", name="string")
    return InputRequiredResult(input_requests=wanted) if wanted and not ctx.input_responses else "done"


def confirm_delete(filename: str, ctx: Context[None, Any]) -> Answer:
    if not form(ctx, "confirm"):
        return InputRequiredResult(input_requests={"confirm": question(f"Delete {filename}?", confirm="boolean")})
    return f"{filename} would be gone"


def test_input_required_result_prompt(ctx: Context[None, Any]) -> Answer:
    context = form(ctx, "user_context").get("context")
    if context is None:
        asked = question("What context should the prompt use?", context="string")
        return InputRequiredResult(input_requests={"user_context": asked})
    return f"In the context of {context}"


async def _elicit(ctx: Context[None, Any], message: str, fields: dict[str, Any], required: list[str]) -> str:
    schema = {"type": "object", "properties": fields, "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content or {})}"


def question(message: str, **fields: str) -> ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": [*fields],
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[_said(text)], max_tokens=100))


def _said(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


def _text(answer: CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, TextContent) else ""


def _answer(ctx: Context[None, Any], name: str) -> InputResponse | None:
    return (ctx.input_responses or {}).get(name)


def form(ctx: Context[None, Any], name: str) -> dict[str, Any]:
    answer = _answer(ctx, name)
    return dict(answer.content or {}) if isinstance(answer, ElicitResult) else {}
