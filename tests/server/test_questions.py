"""The user is asked where a choice is theirs, in both protocol eras; a client that cannot ask gets the tool as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp.client import Client
from mcp_types import INTERNAL_ERROR, CallToolResult, ElicitRequestFormParams, ElicitResult, ErrorData
from mle_star.engine.run import list_runs
from mle_star.server.app import build_server
from mle_star.server.settings import Settings
from served import structured

pytestmark = pytest.mark.anyio
Era = Literal["auto", "legacy"]
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])
Answer = Callable[[ElicitRequestFormParams], ElicitResult]


@pytest.fixture
def table(data: Path) -> Path:
    path = data / "shop.csv"
    rows = "".join(f"{number},{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(90))
    path.write_text(f"age,visits,Bought\n{rows}", encoding="utf-8")
    return path


class User:
    """Answers as told and remembers what was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[ElicitRequestFormParams] = []

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        self.asked.append(params)
        return self._answer(params)


def accept(**content: Any) -> Answer:
    return lambda _: ElicitResult(action="accept", content=content)


def refuse(_: ElicitRequestFormParams) -> ElicitResult:
    return ElicitResult(action="decline")


async def ask(settings: Settings, era: Era, user: User | None, tool: str, **given: Any) -> CallToolResult:
    async with Client(build_server(settings), mode=era, elicitation_callback=user) as client:
        return await client.call_tool(tool, given)


@ERAS
async def test_the_user_names_the_column_that_was_meant(settings: Settings, table: Path, era: Era) -> None:
    user = User(accept(target="Bought"))
    result = await ask(settings, era, user, "profile_dataset", path=str(table), target="bougt", wait_s=60)
    assert structured(result)["task"] == "binary"
    assert [params.requested_schema["properties"]["target"]["enum"] for params in user.asked] == [["Bought"]]
    assert "'bougt'" in user.asked[0].message


@ERAS
async def test_a_user_who_chooses_no_column_stops_the_call(
    settings: Settings, table: Path, home: Path, era: Era
) -> None:
    result = await ask(settings, era, User(refuse), "profile_dataset", path=str(table), target="bougt")
    assert result.is_error
    assert "Bought" in result.content[0].text  # type: ignore[union-attr]
    assert "profile_dataset" in result.content[0].text  # type: ignore[union-attr]
    assert list_runs(home) == []


@ERAS
async def test_without_a_user_to_ask_the_error_names_what_is_near(settings: Settings, table: Path, era: Era) -> None:
    result = await ask(settings, era, None, "profile_dataset", path=str(table), target="bougt", wait_s=60)
    assert result.is_error
    assert "did you mean 'Bought'?" in result.content[0].text  # type: ignore[union-attr]


@ERAS
async def test_hours_of_work_begin_only_when_the_user_agrees(
    settings: Settings, table: Path, home: Path, era: Era
) -> None:
    given = {"path": str(table), "target": "Bought", "time_budget_s": 7200, "wait_s": 60}
    for answer in (refuse, accept(start=False)):
        refused = await ask(settings, era, User(answer), "profile_dataset", **given)
        assert refused.is_error
        assert "at most 3600" in refused.content[0].text  # type: ignore[union-attr]
        assert list_runs(home) == []
    user = User(accept(start=True))
    assert structured(await ask(settings, era, user, "profile_dataset", **given))["status"] == "finished"
    assert ["2.0 hours" in params.message for params in user.asked] == [True]


@ERAS
async def test_nobody_is_asked_without_need(settings: Settings, table: Path, era: Era) -> None:
    user = User(refuse)
    given = {"path": str(table), "target": "Bought", "time_budget_s": 60, "wait_s": 60}
    assert structured(await ask(settings, era, user, "profile_dataset", **given))["status"] == "finished"
    for wrong in ({"path": "missing.csv", "target": "x"}, {"path": str(table), "target": "nothing like it"}, {}):
        assert (await ask(settings, era, user, "profile_dataset", **wrong)).is_error
    assert (await ask(settings, era, user, "refine", run_id="run_nobody_0001", time_budget_s=7200)).is_error
    assert user.asked == []


async def test_consent_once_given_is_not_asked_for_again_and_a_budget_in_text_needs_it_too(
    settings: Settings, table: Path
) -> None:
    given = {"path": str(table), "target": "Bought", "time_budget_s": "7200", "wait_s": 0}
    user = User(accept(start=True))
    for _ in range(2):
        assert not (await ask(settings, "legacy", user, "profile_dataset", **given)).is_error
    assert len(user.asked) == 1


async def test_an_older_client_that_fails_to_ask_gets_the_tool_as_it_is(settings: Settings, table: Path) -> None:
    async def fail(context: Any, params: Any) -> ErrorData:
        return ErrorData(code=INTERNAL_ERROR, message="no screen")

    async with Client(build_server(settings), mode="legacy", elicitation_callback=fail) as client:
        for run_id in (5, ["x"]):
            odd = await client.call_tool("refine", {"run_id": run_id, "time_budget_s": 7200})
            assert odd.is_error
        result = await client.call_tool("profile_dataset", {"path": str(table), "target": "bougt", "wait_s": 60})
    assert result.is_error
    assert "did you mean 'Bought'?" in result.content[0].text  # type: ignore[union-attr]


async def test_both_questions_of_one_call_are_asked(settings: Settings, table: Path) -> None:
    def answer(params: ElicitRequestFormParams) -> ElicitResult:
        content: dict[str, Any] = (
            {"target": "Bought"} if "target" in params.requested_schema["properties"] else {"start": True}
        )
        return ElicitResult(action="accept", content=content)

    user = User(answer)
    given = {"path": str(table), "target": "bougt", "time_budget_s": 7200, "wait_s": 60}
    assert structured(await ask(settings, "auto", user, "profile_dataset", **given))["task"] == "binary"
    assert len(user.asked) == 2
