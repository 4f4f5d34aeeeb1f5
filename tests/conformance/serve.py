"""The real server over HTTP with the fixtures that the conformance scenarios ask for: `python -m conformance.serve HOME`.

Settings, server and gate are those of `mle-star serve --http`; the fixtures are added by the public interface. Prints the address,
and a line `missing NAME` for every tool, prompt or resource that was asked for in vain.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mle_star.server.app import build_server
from mle_star.server.settings import Settings
from mle_star.server.web import MCP_PATH, Address, web_app

from . import asking, content, working


class _Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}{MCP_PATH}", flush=True)


async def tell_what_is_missing(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    try:
        return await call_next(ctx)
    except MCPError as error:
        if error.message.startswith(("no tool is called", "no prompt is called", "Unknown resource")):
            asked = ctx.params or {}
            print("missing", asked.get("name") or asked.get("uri"), flush=True)
        raise


def main() -> None:
    home = Path(sys.argv[1])
    # Scenarios leave tasks of a minute behind, each a process that sleeps.
    settings = Settings(home=home, allowed_dirs=(home,), max_jobs=32, threads=1)
    settings.make_home()
    server = build_server(settings)
    server.middleware.append(tell_what_is_missing)
    content.add(server)
    asking.add(server)
    jobs = working.add(server, settings)
    try:
        config = uvicorn.Config(web_app(server, settings, Address(port=0)), port=0, log_level="warning")
        _Server(config).run()
    finally:
        jobs.shutdown()


if __name__ == "__main__":
    main()
