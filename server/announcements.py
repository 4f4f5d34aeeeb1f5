"""Tells clients that a context window has changed, or that a run or one of its reports has appeared, whichever process did it.

The folders and journals on disk are the only source, so nothing has to be reported here. They are looked at only while somebody
listens. Clients of the 2026 protocol listen on a stream of their own (`subscriptions/listen`, served by the SDK from `bus`); for
older ones `resources/subscribe` is served here, because the SDK's server does not, and those that have listed the resources are
told when the list has changed.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)
from mcp_types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..engine.run import list_runs
from ..engine.windows import KIND, TITLES, window_address
from .resources import listed
from .settings import Settings

LOOK_EVERY_S = 0.25
SEND_WITHIN_S = 1.0
WATCHED_RUNS = 24
"""The newest runs, as many as journals are kept open for reading; hardly anybody works on older ones."""

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


def end_listening(server: MCPServer[Any]) -> None:
    """End the streams of all who listen, in the way of the protocol; they may come back and listen again."""
    served = server._lowlevel_server.get_request_handler("subscriptions/listen")
    if served is not None and isinstance(served.handler, ListenHandler):
        served.handler.close()


class Announcer:
    """Watches a home folder and tells clients which windows have changed and that there is something new to list."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self.bus = Bus(self._begin)
        self._subscribed: dict[Connection, set[str]] = {}
        self._listed_for: set[Connection] = set()
        self._since: float | None = None
        self._seen: dict[str, int] | None = None
        self._listed: frozenset[str] = frozenset()

    def attach(self, server: MCPServer[Any]) -> None:
        """Serve what the protocol before 2026 needs for it: `resources/subscribe`, and news of the list of resources."""
        # The public server has no way to add these; a test pins what is used of its inside.
        inner = server._lowlevel_server
        inner.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        inner.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        promised = partial(inner.create_initialization_options, NotificationOptions(resources_changed=True))
        inner.create_initialization_options = promised  # type: ignore[method-assign]
        server.middleware.append(self._remember_who_lists)

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            if not (self.bus.listeners or self._subscribed or self._listed_for):
                self._since = self._seen = None
                continue
            try:
                changed, grown = await anyio.to_thread.run_sync(self._look)
            except (OSError, sqlite3.Error):
                # A run that is just being made or removed; the next look sees it whole.
                log.debug("the journals could not be read", exc_info=True)
                continue
            for uri in changed:
                await self._tell(uri)
            if grown:
                await self._tell_of_the_list()

    async def _tell(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri=uri))
        for connection, uris in list(self._subscribed.items()):
            if uri in uris:
                # One client that does not read must not keep the news from the others.
                with anyio.move_on_after(SEND_WITHIN_S):
                    await connection.send_resource_updated(uri)

    async def _tell_of_the_list(self) -> None:
        await self.bus.publish(ResourcesListChanged())
        for connection in list(self._listed_for):
            with anyio.move_on_after(SEND_WITHIN_S):
                await connection.send_resource_list_changed()

    def _begin(self) -> None:
        """What was there when the first one came to listen is no news."""
        if self._since is None:
            self._since = time.time()

    def _look(self) -> tuple[list[str], bool]:
        """Addresses of the windows that were written to since the last look, and whether the list of resources has changed."""
        runs, since = list_runs(self._home)[:WATCHED_RUNS], self._since or 0.0
        # The first look has nothing to compare with: there, time tells what is new, and a needless word does no harm.
        first = self._seen is None
        grown = first and any(run.path.stat().st_mtime >= since for run in runs)
        # A copy: a look that fails half way is made again, with all its news.
        seen = dict(self._seen or {})
        changed: dict[str, None] = {}
        for place, run in enumerate(runs):
            known = run.run_id in seen
            try:
                entries = list(run.journal.read(KIND, after=seen.get(run.run_id, 0)))
            except (OSError, sqlite3.Error):
                # A run that is just being made or removed, or is damaged: no reason to keep the news of the others.
                log.debug("%s could not be read", run.run_id, exc_info=True)
                continue
            for entry in entries:
                seen[run.run_id] = entry.seq
                if first and entry.at < since:
                    known = True
                    continue
                number = entry.body["window"]
                changed[window_address(number, run.run_id)] = None
                if place == 0:
                    # The short addresses stand for the newest run: with its first entry all of them mean other windows.
                    for short in (number,) if known else TITLES:
                        changed[window_address(short)] = None
        now_listed = frozenset(resource.uri for resource in listed(self._home))
        grown = grown or (not first and now_listed != self._listed)
        self._seen, self._listed = seen, now_listed
        return list(changed), grown

    async def _remember_who_lists(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """A client before 2026 that lists the resources wants to know when there are others."""
        connection = ctx.session._connection
        if ctx.method == "resources/list" and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            self._begin()
            if connection not in self._listed_for:
                self._listed_for.add(connection)
                connection.exit_stack.callback(self._listed_for.discard, connection)
        return await call_next(ctx)

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
