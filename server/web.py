"""Serving over HTTP: who may call (address, token), how much (size, rate), whether the server is well, and how it ends.

The protocol's own endpoint is `/mcp`; `/healthz` and `/readyz` are for supervisors; `/runs/{run_id}` shows a run live in a browser,
with its report at `/runs/{run_id}/report.html`. On an address that others can reach a token and the host names they use are
required. Every request gets an id, which is in the answer's `X-Request-Id` and in its line of the log (one JSON object a line, on
standard error), with the tool, the run and the outcome where there are any.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import anyio.to_thread
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.errors import InvalidInput, MleStarError
from ..engine.run import RunFolder, open_run
from .announcements import end_listening
from .app import build_server
from .resources import report_page
from .run_state import run_page, run_state
from .settings import Settings
from .tracing import add_facts, facts

MCP_PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_AT_LEAST = 16
LARGEST_BODY = 4 * 1024 * 1024
REQUESTS_PER_S, BURST = 200.0, 2_000
"""What one client address may ask for in the long run, and at once."""
FREE_DISK_MB = 100
GRACE_S = 5
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")
_OPEN_PATHS = ("/healthz", "/readyz")
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LIVE_POLICY = f"{_REPORT_POLICY}; script-src 'unsafe-inline'; connect-src 'self'"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where to listen and who may call.

    Attributes
    ----------
    token : str or None
        What callers send as `Authorization: Bearer …`; None lets everybody in who can reach a loopback address.
    allowed_hosts : tuple of str
        Names (with port, where it is not the default one) by which callers may address the server, beside loopback names.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < TOKEN_AT_LEAST:
            raise InvalidInput(f"expected a token of at least {TOKEN_AT_LEAST} characters, got {len(self.token)}")
        if self.host not in LOOPBACK and (self.token is None or not self.allowed_hosts):
            raise InvalidInput(
                f"{self.host} can be reached by others: name the variable that holds a token (--token-env NAME) and the host names "
                "callers use (--allow-host NAME), or listen on 127.0.0.1"
            )

    @property
    def security(self) -> TransportSecuritySettings:
        """Host and Origin headers that are answered: a web page elsewhere must not reach a server on this machine."""
        names = [f"[{name}]" if ":" in name else name for name in LOOPBACK] if self.host in LOOPBACK else []
        hosts = [*(f"{name}:*" for name in names), *names, *self.allowed_hosts]
        return TransportSecuritySettings(
            allowed_hosts=hosts,
            allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts],
        )


def address_of(host: str, port: int, token_env: str | None, allowed_hosts: tuple[str, ...]) -> Address:
    """Build an address with the token from an environment variable; raises `InvalidInput` where the variable is empty."""
    token = None
    if token_env is not None:
        token = os.environ.get(token_env, "").strip()
        if not token:
            raise InvalidInput(
                f"expected a token in the environment variable {token_env}, which is empty; set it first"
            )
    return Address(host, port, token, allowed_hosts)


def serve_http(settings: Settings, address: Address) -> None:
    """Serve many clients over streamable HTTP until SIGTERM or SIGINT; workers end with the server."""
    settings.make_home()
    _log_as_json()
    server = build_server(settings)
    config = uvicorn.Config(
        web_app(server, settings, address),
        host=address.host,
        port=address.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    with _listening(address) as listener:
        _Server(config, partial(end_listening, server)).run(sockets=[listener])


def _listening(address: Address) -> socket.socket:
    """Bind; raises `InvalidInput` where the address cannot be used."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once; without it every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"cannot listen on {address.host}:{address.port}: {reason}; choose another --port or --host"
        ) from error
    return listener


def web_app(server: MCPServer[None], settings: Settings, address: Address) -> ASGIApp:
    """Return the application: the protocol, the pages, and the gate before them."""
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        host=address.host,
        transport_security=address.security,
        max_request_body_size=LARGEST_BODY,
    )
    app.routes.extend(_pages(settings))
    return Gate(app, address)


def _pages(settings: Settings) -> list[Route]:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        problem = _problem(settings)
        return JSONResponse({"ready": problem is None, "problem": problem}, status_code=200 if problem is None else 503)

    async def live_page(request: Request) -> Response:
        return await _of_run(request, lambda _: HTMLResponse(run_page(), headers=_guarded(_LIVE_POLICY)))

    async def state(request: Request) -> Response:
        return await _of_run(request, lambda run: JSONResponse(run_state(run)))

    async def report(request: Request) -> Response:
        return await _of_run(request, lambda run: HTMLResponse(report_page(run), headers=_guarded(_REPORT_POLICY)))

    async def _of_run(request: Request, answer: Callable[[RunFolder], Response]) -> Response:
        try:
            run = await anyio.to_thread.run_sync(open_run, settings.home, request.path_params["run_id"])
            add_facts(run_id=run.run_id)
            return await anyio.to_thread.run_sync(answer, run)
        except MleStarError as error:
            return PlainTextResponse(f"{error}\n", status_code=404)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/runs/{run_id}", live_page),
        Route("/runs/{run_id}/state.json", state),
        Route("/runs/{run_id}/report.html", report),
    ]


def _guarded(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}


def _problem(settings: Settings) -> str | None:
    """Why new work should not be sent here, or None."""
    if not os.access(settings.home, os.W_OK):
        return "the home folder cannot be written"
    if shutil.disk_usage(settings.home).free < FREE_DISK_MB * 2**20:
        return f"less than {FREE_DISK_MB} MB of disk are free"
    return None


class Gate:
    """Answers for itself what may not reach the application, and logs every request."""

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._token = address.token.encode() if address.token else None
        self._security = address.security
        self._buckets = Buckets(REQUESTS_PER_S, BURST, time.monotonic)
        self._name, self._numbers = uuid4().hex[:12], count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        own_id = asked if _REQUEST_ID.fullmatch(asked) else f"{self._name}-{next(self._numbers)}"
        facts.set({"request_id": own_id})
        started, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = own_id
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            await (refusal or self._app)(scope, receive, answer)
        finally:
            ms = round(1000 * (time.monotonic() - started), 1)
            log.info("request", extra={"method": scope["method"], "path": scope["path"], "status": status, "ms": ms})

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"] in _OPEN_PATHS:
            return None
        if not _matches(headers.get("host", ""), self._security.allowed_hosts):
            return PlainTextResponse("this host name is not served here; --allow-host adds one\n", status_code=421)
        origin = headers.get("origin")
        if origin is not None and not _matches(origin, self._security.allowed_origins):
            return PlainTextResponse("pages of this origin may not call this server\n", status_code=403)
        client = scope.get("client")
        wait_s = self._buckets.take(client[0] if client else "")
        if wait_s > 0.0:
            return PlainTextResponse(
                "too many requests\n", status_code=429, headers={"Retry-After": str(max(1, round(wait_s)))}
            )
        if self._token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
                return PlainTextResponse(
                    "send the token as Authorization: Bearer …\n",
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return None


def _matches(given: str, allowed: list[str]) -> bool:
    """Whether a header is one of the values, where `name:*` stands for any port."""
    return any(given == value or (value.endswith(":*") and given.startswith(value[:-1])) for value in allowed)


class Buckets:
    """A token bucket for each client: `rate` requests a second, `burst` at once. Forgets clients whose bucket is full again."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> float:
        """Take one; returns the seconds to wait where there is none left, else 0."""
        now = self._clock()
        if len(self._levels) > self._burst:
            self._levels = {
                name: level for name, level in self._levels.items() if self._filled(level, now) < self._burst
            }
        left = self._filled(self._levels.get(client, (float(self._burst), now)), now)
        if left < 1.0:
            return (1.0 - left) / self._rate
        self._levels[client] = (left - 1.0, now)
        return 0.0

    def _filled(self, level: tuple[float, float], now: float) -> float:
        return min(float(self._burst), level[0] + self._rate * (now - level[1]))


class _Server(uvicorn.Server):
    """Says where it listens once it does, and ends open streams before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then the server; a stream would otherwise be waited for until patience ends."""
        self._end_streams()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Bind, then tell."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            log.info("serving", extra={"url": f"http://{shown}:{port}{MCP_PATH}"})


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what is known of the request, and what the record brings along."""

    _known = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(facts.get() or {})
        line.update({name: value for name, value in vars(record).items() if name not in self._known})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(__package__).setLevel(logging.INFO)
