"""A client of the tasks extension (SEP-2663): declares it, and asks for tasks as its methods say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import anyio
from mcp.client import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

IDENTIFIER = "io.modelcontextprotocol/tasks"


class Started(Result):
    """The answer of a tool call that became a task."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)
    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class Answer(Result):
    """Any answer, as it came."""

    model_config = ConfigDict(extra="allow")


class TaskParams(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParams, str]):
    name_param = "taskId"


class TasksClient(ClientExtension):
    """Declares the extension; `Client.session.call_tool(…, allow_claimed=True)` then returns `Started`."""

    identifier = IDENTIFIER

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return (ResultClaim(result_type="task", model=Started, resolve=_nobody),)


async def _nobody(started: Started, context: ClaimContext) -> CallToolResult:
    raise AssertionError("a test asks for its tasks itself")


async def start(client: Client, tool: str, **given: Any) -> Started:
    """Call a tool that becomes a task."""
    result = await client.session.call_tool(tool, given, allow_claimed=True)
    assert isinstance(result, Started), result
    return result


async def ask(client: Client, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """Send `tasks/get`, `tasks/update` or `tasks/cancel`; returns the answer without `_meta`."""
    request = TaskRequest(method=method, params=TaskParams(task_id=task_id, **more))
    answer = (await client.session.send_request(request, Answer)).model_dump(by_alias=True, exclude_none=True)
    answer.pop("_meta", None)
    return answer


async def until_ended(client: Client, task_id: str, within_s: float = 60) -> dict[str, Any]:
    """Poll a task until it has ended."""
    with anyio.fail_after(within_s):
        while (task := await ask(client, "tasks/get", task_id))["status"] == "working":
            await anyio.sleep(0.1)
    return task
