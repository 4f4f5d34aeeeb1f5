"""Questions to the user, asked before a tool begins and only where the choice is theirs: which column was meant, and whether hours
of work are wanted.

A client that cannot ask its user is not asked: a wrong column is then an error with the near names, and a long budget is taken at
its word.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, CancelledElicitation, DeclinedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.resolve import build_resolver_plans
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from pydantic import BaseModel, Field, ValidationError, create_model

from ..engine.errors import MleStarError
from ..engine.names import tidy_name
from ..tools.contract import JobRequest, Tool
from ..tools.profile_dataset import ProfileRequest
from ..tools.workspace import Workspace
from .calls import parse
from .headers import column_names
from .jobs import Jobs
from .opening import PROFILE, answered_by
from .settings import Settings
from .structured import tool_error

LONG_S = 3600.0
"""A budget above this is confirmed."""
ANSWER_WITHIN_S = 120.0
"""How long a call waits for the user where the question is asked within it."""

log = logging.getLogger(__name__)

Form = TypeVar("Form", bound=BaseModel)


class Column(BaseModel):
    """The user's answer: a column of the table."""

    target: str


class Consent(BaseModel):
    """The user's answer: whether to begin."""

    start: bool = Field(description="Start the work; it can be cancelled at any time.")


class Questions:
    """Decides what has to be asked, and turns answers into arguments or a refusal."""

    def __init__(self, tool: Tool, settings: Settings, jobs: Jobs) -> None:
        self._tool = tool
        self._settings = settings
        self._jobs = jobs
        self.parameters: dict[str, tuple[Resolve, bool]] = {}
        if tool.name == PROFILE:
            self.parameters["column"] = Resolve(self.which_column), True
        if tool.work is not None:
            self.parameters["consent"] = Resolve(self.long_work), True
        self.plans = build_resolver_plans(self.parameters, {"arguments"})

    async def which_column(
        self, arguments: dict[str, Any], context: Context[None, Any]
    ) -> Elicit[Column] | ElicitationResult[Column] | Literal[False]:
        """Ask where the table has no such target but some that are called nearly so."""
        path, target = arguments.get("path"), arguments.get("target")
        if not (can_ask(context) and isinstance(path, str) and isinstance(target, str)):
            return False
        near = await anyio.to_thread.run_sync(self._near_names, path, target)
        if not near:
            return False
        schema = create_model("Column", __base__=Column, target=(str, Field(json_schema_extra={"enum": [*near]})))
        return await _answer(context, f"The table has no column {target[:60]!r}. Which one shall be predicted?", schema)

    async def long_work(
        self, arguments: dict[str, Any], context: Context[None, Any]
    ) -> Elicit[Consent] | ElicitationResult[Consent] | Literal[False]:
        """Ask before a job may work for more than an hour; not again while the run is at work."""
        if not can_ask(context):
            return False
        try:
            request = parse(self._tool.request, arguments)
        except ValidationError:
            # The tool says what is wrong with it.
            return False
        if not isinstance(request, JobRequest) or request.time_budget_s is None or request.time_budget_s <= LONG_S:
            return False
        seconds = request.time_budget_s
        if await anyio.to_thread.run_sync(self._agreed_before, request):
            return False
        work = "every later step" if self._tool.name == PROFILE else self._tool.name
        hours = f"up to {seconds / 3600:.1f} hours"
        return await _answer(context, f"{work} may then use this computer for {hours}. Start?", Consent)

    async def settled(
        self, arguments: dict[str, Any], answers: dict[str, Any]
    ) -> tuple[dict[str, Any], CallToolResult | None]:
        """Return the arguments with what the user chose, and a refusal where they did not want it."""
        column, consent = _outcome(answers.get("column")), _outcome(answers.get("consent"))
        if column is not None and not isinstance(column, AcceptedElicitation):
            near = await anyio.to_thread.run_sync(self._near_names, arguments["path"], arguments["target"])
            return arguments, tool_error(
                f"the table has no column {arguments['target'][:60]!r} and the user chose none of {', '.join(near)}; "
                f"ask which column to predict, then call {PROFILE} with it"
            )
        if consent is not None and not (isinstance(consent, AcceptedElicitation) and _agreed(consent.data)):
            return arguments, tool_error(
                f"the user did not agree to {float(arguments['time_budget_s']):,.0f} s of work; call {self._tool.name} with a "
                f"time_budget_s of at most {LONG_S:.0f}, which needs no consent"
            )
        if column is not None and isinstance(column.data, Column):
            return {**arguments, "target": column.data.target}, None
        return arguments, None

    def _near_names(self, path: str, target: str) -> list[str]:
        """Columns that may have been meant; none where the target is one, or nothing is like it."""
        names = column_names(path, self._settings)
        if (asked := tidy_name(target)) in names:
            return []
        lowered = {name.lower(): name for name in reversed(names)}
        return [lowered[name] for name in get_close_matches(asked.lower(), lowered, n=5, cutoff=0.5)]

    def _agreed_before(self, request: JobRequest) -> bool:
        """Whether the call joins work that began with consent, or needs none because it can begin nothing."""
        try:
            if isinstance(request, ProfileRequest):
                return answered_by(request, self._settings, self._jobs) is not None
            state = self._jobs.state(Workspace(self._settings.home).run(request.run_id))
        except MleStarError:
            # The tool says what is wrong with the run; there is no work to agree to.
            return True
        return state is not None and state.status == "running"


def can_ask(context: Context[None, Any]) -> bool:
    """Whether the client shows forms to its user, and can be reached for it from within this call."""
    capabilities = context.client_capabilities
    asks = capabilities.elicitation if capabilities is not None else None
    if asks is None or (asks.form is None and asks.url is not None):
        return False
    return context.protocol_version is None or context.protocol_version >= "2026" or context.session.can_send_request


async def _answer(
    context: Context[None, Any], message: str, schema: type[Form]
) -> Elicit[Form] | ElicitationResult[Form] | Literal[False]:
    """The question, for the SDK to ask where the protocol asks between two calls; before 2026 the answer to it, within this call.

    A client that then fails to ask its user, or says nothing for long, counts as one that cannot ask.
    """
    if context.protocol_version is not None and context.protocol_version >= "2026":
        return Elicit(message, schema)
    try:
        with anyio.fail_after(ANSWER_WITHIN_S):
            return await context.elicit(message, schema)
    except (MCPError, TimeoutError, ValueError):
        log.warning("the client could not ask its user", exc_info=True)
        return False


def _outcome(answer: Any) -> Any:
    """What the user did: the SDK wraps an outcome that a resolver returns in one more."""
    wrapped = answer.data if isinstance(answer, AcceptedElicitation) else None
    return wrapped if isinstance(wrapped, AcceptedElicitation | DeclinedElicitation | CancelledElicitation) else answer


def _agreed(data: Any) -> bool:
    return not isinstance(data, Consent) or data.start
