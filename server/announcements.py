"""Tells subscribers that a context window has changed, whichever process changed it: a worker, another server, a tool of this one.

The journals on disk are the only source, so nothing has to be reported here. They are looked at only while somebody listens.
Clients of the 2026 protocol listen on a stream of their own (`subscriptions/listen`, served by the SDK from `bus`); for older ones
`resources/subscribe` is served here, because the SDK's server does not.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent
from mcp_types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from ..engine.run import list_runs
from ..engine.windows import KIND, TITLES, window_address
from .settings import Settings

LOOK_EVERY_S = 0.25
SEND_WITHIN_S = 1.0
WATCHED_RUNS = 50
"""The newest runs; nobody works on older ones."""

log = logging.getLogger(__name__)


class Bus(InMemorySubscriptionBus):
    """The SDK's bus, which also says when its first listener comes and whether any is left."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        super().__init__()
        self._on_first = on_first
        self.listeners = 0

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener; returns what ends it, which may be called twice."""
        self._on_first()
        leave = super().subscribe(listener)
        self.listeners += 1
        left = False

        def unsubscribe() -> None:
            nonlocal left
            if not left:
                left = True
                self.listeners -= 1
            leave()

        return unsubscribe


class Announcer:
    """Watches the journals of a home folder and tells subscribers which windows have changed."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self.bus = Bus(self._begin)
        self._subscribed: dict[Connection, set[str]] = {}
        self._seen: dict[str, int] | None = None

    def attach(self, server: MCPServer[Any]) -> None:
        """Serve `resources/subscribe` and `resources/unsubscribe` of the protocol before 2026."""
        # The public server has no way to add these two; a test pins what is used of its inside.
        inner = server._lowlevel_server
        inner.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        inner.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            if not (self.bus.listeners or self._subscribed):
                self._seen = None
                continue
            try:
                changed = await anyio.to_thread.run_sync(self._look)
            except (OSError, sqlite3.Error):
                # A run that is just being made or removed; the next look sees it whole.
                log.debug("the journals could not be read", exc_info=True)
                continue
            for uri in changed:
                await self._tell(uri)

    async def _tell(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri=uri))
        for connection, uris in list(self._subscribed.items()):
            if uri in uris:
                # One client that does not read must not keep the news from the others.
                with anyio.move_on_after(SEND_WITHIN_S):
                    await connection.send_resource_updated(uri)

    def _begin(self) -> None:
        """What stands in the journals when the first subscriber comes is no news."""
        if self._seen is not None:
            return
        seen: dict[str, int] = {}
        for run in list_runs(self._home)[:WATCHED_RUNS]:
            # A run that is just being made or removed has nothing to tell yet.
            with suppress(OSError, sqlite3.Error):
                newest = run.journal.last(KIND)
                if newest is not None:
                    seen[run.run_id] = newest.seq
        self._seen = seen

    def _look(self) -> list[str]:
        """Addresses of the windows that were written to since the last look, without repetition."""
        if self._seen is None:
            return []
        changed: dict[str, None] = {}
        for place, run in enumerate(list_runs(self._home)[:WATCHED_RUNS]):
            after = self._seen.get(run.run_id, 0)
            for entry in run.journal.read(KIND, after=after):
                self._seen[run.run_id] = entry.seq
                number = entry.body["window"]
                changed[window_address(number, run.run_id)] = None
                if place == 0:
                    # The short addresses stand for the newest run: with its first entry all of them mean other windows.
                    for short in TITLES if after == 0 else (number,):
                        changed[window_address(short)] = None
        return list(changed)

    async def _subscribe(self, context: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        connection = context.session._connection
        self._begin()
        if connection not in self._subscribed:
            self._subscribed[connection] = set()
            connection.exit_stack.callback(self._subscribed.pop, connection, None)
        self._subscribed[connection].add(str(params.uri))
        return EmptyResult()

    async def _unsubscribe(
        self, context: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        connection = context.session._connection
        uris = self._subscribed.get(connection, set())
        uris.discard(str(params.uri))
        if not uris:
            self._subscribed.pop(connection, None)
        return EmptyResult()
