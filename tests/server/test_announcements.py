"""Subscribers hear of a changed window within a second, in both protocol eras, whoever wrote to it."""

from __future__ import annotations

import time
import warnings
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import ResourceListChangedNotification, ResourceUpdatedNotification
from mle_star.engine.run import create_run
from mle_star.engine.windows import add_entry
from mle_star.server.app import build_server
from mle_star.server.settings import Settings

pytestmark = pytest.mark.anyio
WITHIN_S = 1.0


def write(home: Path, name: str, window: int) -> str:
    """What another process does: a run with an entry in a window. Returns the run's handle."""
    run = create_run(home, name)
    add_entry(run.journal, window, "Something was found.", 5, "tool", "test")
    return run.run_id


async def test_a_listener_hears_of_its_window_and_of_no_other(settings: Settings, home: Path) -> None:
    run = create_run(home, "before")
    add_entry(run.journal, 3, "Old news.", 5, "tool", "test")
    uri = f"context7://runs/{run.run_id}/windows/4"
    async with Client(build_server(settings)) as client, client.listen(resource_subscriptions=[uri]) as events:
        add_entry(run.journal, 3, "For another window.", 5, "tool", "test")
        add_entry(run.journal, 4, "For this one.", 5, "tool", "test")
        with anyio.fail_after(WITHIN_S):
            event = await anext(events)
        assert event == ResourceUpdated(uri=uri)
        with anyio.move_on_after(0.6) as quiet:
            await anext(events)
        assert quiet.cancelled_caught


async def test_a_new_run_changes_the_windows_of_the_newest_run(settings: Settings, home: Path) -> None:
    short = "context7://windows/5"
    async with Client(build_server(settings)) as client, client.listen(resource_subscriptions=[short]) as events:
        await anyio.to_thread.run_sync(write, home, "fresh", 1)
        with anyio.fail_after(WITHIN_S):
            assert await anext(events) == ResourceUpdated(uri=short)


async def test_a_tool_of_this_server_is_heard_too(settings: Settings, home: Path) -> None:
    run = create_run(home, "noted")
    uri = f"context7://runs/{run.run_id}/windows/2"
    async with Client(build_server(settings)) as client, client.listen(resource_subscriptions=[uri]) as events:
        result = await client.call_tool("context7_update", {"run_id": run.run_id, "window": 2, "content": "a note"})
        assert not result.is_error
        with anyio.fail_after(WITHIN_S):
            assert await anext(events) == ResourceUpdated(uri=uri)


async def test_an_older_client_subscribes_and_leaves(settings: Settings, home: Path) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    run = create_run(home, "older")
    uri = f"context7://runs/{run.run_id}/windows/4"
    async with Client(build_server(settings), mode="legacy", message_handler=on_message) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await client.subscribe_resource(uri)
            add_entry(run.journal, 4, "First.", 5, "tool", "test")
            await heard_within(heard, 1)
            await client.unsubscribe_resource(uri)
        add_entry(run.journal, 4, "Second.", 5, "tool", "test")
        await anyio.sleep(0.6)
    assert heard == [uri]


async def test_two_hundred_listeners_are_all_told(settings: Settings, home: Path) -> None:
    run = create_run(home, "crowd")
    uri = f"context7://runs/{run.run_id}/windows/6"
    told: list[float] = []
    async with Client(build_server(settings)) as client, AsyncExitStack() as stack, anyio.create_task_group() as group:
        streams = [await stack.enter_async_context(client.listen(resource_subscriptions=[uri])) for _ in range(200)]

        async def hear(events: Any) -> None:
            assert await anext(events) == ResourceUpdated(uri=uri)
            told.append(time.monotonic())

        for events in streams:
            group.start_soon(hear, events)
        add_entry(run.journal, 6, "For everybody.", 5, "tool", "test")
        written = time.monotonic()
        with anyio.fail_after(5):
            while len(told) < len(streams):
                await anyio.sleep(0.02)
    assert len(told) == 200
    assert max(told) - written < 2 * WITHIN_S


async def heard_within(heard: list[str], count: int) -> None:
    """Wait until so many notifications have come."""
    with anyio.fail_after(WITHIN_S):
        while len(heard) < count:
            await anyio.sleep(0.02)


async def test_a_listener_hears_that_a_run_and_a_report_have_appeared(settings: Settings, home: Path) -> None:
    create_run(home, "before")
    async with Client(build_server(settings)) as client, client.listen(resources_list_changed=True) as events:
        with anyio.move_on_after(0.6) as quiet:
            await anext(events)
        assert quiet.cancelled_caught
        run = create_run(home, "fresh")
        with anyio.fail_after(WITHIN_S):
            assert await anext(events) == ResourcesListChanged()
        assert f"mlestar://runs/{run.run_id}/report" in await listed_uris(client)
        run.journal.append("ablation", {"rows": []})
        with anyio.fail_after(WITHIN_S):
            assert await anext(events) == ResourcesListChanged()
        assert f"mlestar://runs/{run.run_id}/ablation.json" in await listed_uris(client)


async def test_an_older_client_that_has_listed_is_told_of_a_new_run(settings: Settings, home: Path) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, ResourceListChangedNotification):
            heard.append("list")

    async with Client(build_server(settings), mode="legacy", message_handler=on_message) as client:
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.list_changed is True
        await listed_uris(client)
        await anyio.sleep(0.6)
        await anyio.to_thread.run_sync(write, home, "fresh", 1)
        await heard_within(heard, 1)


async def test_a_damaged_journal_keeps_nothing_from_the_others(settings: Settings, home: Path) -> None:
    good, damaged = create_run(home, "good"), create_run(home, "damaged")
    damaged.journal.path.write_bytes(b"no database at all" * 300)
    uri = f"context7://runs/{good.run_id}/windows/4"
    async with Client(build_server(settings)) as client:
        assert f"mlestar://runs/{good.run_id}/report" in await listed_uris(client)
        async with client.listen(resource_subscriptions=[uri]) as events:
            add_entry(good.journal, 4, "First.", 5, "tool", "test")
            with anyio.fail_after(WITHIN_S):
                assert await anext(events) == ResourceUpdated(uri=uri)


async def listed_uris(client: Client) -> set[str]:
    return {str(resource.uri) for resource in (await client.list_resources(cache_mode="bypass")).resources}
