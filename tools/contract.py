"""What an agent tool is: its request, its report, and the descriptor a file exports. Light on import: no ML library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from ..engine.experiment import Experiment
    from .workspace import Workspace

Status = Literal["finished", "running", "failed", "cancelled", "interrupted"]
Detail = Literal["brief", "full"]

RunId = Annotated[str | None, Field(description="Run handle, e.g. run_adult_0007; default: the newest run.")]
TimeBudget = Annotated[
    float | None,
    Field(gt=0, le=86_400, description="Seconds the work may take; it returns the best so far. Default: the run's."),
]
WaitSeconds = Annotated[
    float, Field(ge=0, le=300, description="Seconds to wait before answering status=running; the work goes on.")
]


def call(tool: str, run_id: str, **arguments: object) -> str:
    """A call as an agent is to make it: with the run it is about, as another one may have been opened since."""
    return f"{tool}({', '.join(f'{name}={value!r}' for name, value in {'run_id': run_id, **arguments}.items())})"


class Request(BaseModel):
    """Arguments of a tool: flat, bounded, described."""

    model_config = ConfigDict(extra="forbid")


class RunRequest(Request):
    """Arguments of a tool that reads a run."""

    run_id: RunId = None


class JobRequest(RunRequest):
    """Arguments of a tool that does long work on a run."""

    time_budget_s: TimeBudget = None
    wait_s: WaitSeconds = 45.0
    detail: Annotated[Detail, Field(description="brief: about 2,000 tokens at most; full: everything.")] = "brief"


class Progress(BaseModel):
    """Where a job stands. In the phase `queued` it waits for its turn, and `message` says its place in the line."""

    phase: str
    done: int = 0
    total: int = 0
    message: str = ""
    best_score: float | None = None
    seconds_left: float | None = None


class Report(BaseModel):
    """What every tool answers. While `status` is `running` only these fields and `progress` are filled."""

    run_id: str = ""
    status: Status = "finished"
    summary: str = Field(default="", description="The decision, in one or two sentences.")
    next: str = Field(default="", description="The call to make next.")
    windows_changed: list[int] = Field(default_factory=list)
    did_first: list[str] = Field(
        default_factory=list, description="Earlier steps that were missing and were done first."
    )
    notes: list[str] = Field(default_factory=list)
    progress: Progress | None = None

    def digest(self) -> str:
        """The text that goes into the context window: decision first, then what an agent needs to resume."""
        return self.summary


@dataclass(frozen=True)
class Tool:
    """An agent tool.

    A tool with `work` is a job: it runs in the worker process with the opened `Experiment`. A tool with `answer` is quick, runs in
    the server process on the run folder and imports no ML library; one that waits is `async`. Exactly one of the two is set.

    `after` names the tools whose results `work` needs; those that have not finished on this run are done first.
    `window` is the context window the outcome goes to (0: none). `share` is the part of a whole run's time this step gets.
    """

    name: str
    title: str
    description: str
    request: type[Request]
    report: type[Report]
    work: Callable[[Any, Experiment], Report] | None = None
    refuse: Callable[[Any, Experiment], None] | None = None
    """Raises for arguments that no run could work with, before any earlier step is done for them."""
    answer: Callable[[Any, Workspace], Report | Awaitable[Report]] | None = None
    after: tuple[str, ...] = ()
    window: int = 0
    share: float = 0.0
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False

    @property
    def key(self) -> str:
        """The name, for discovery."""
        return self.name
