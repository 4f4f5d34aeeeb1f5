"""Entry for `mcp dev server/dev.py`, which loads a file outside its package; settings come from the environment."""

from mle_star.server.app import build_server
from mle_star.server.settings import Settings

server = build_server(Settings())
# `mcp dev` starts the server in an environment with plain `mcp`, whose `mcp run` then lacks its own command line.
server.dependencies = ["mcp[cli]"]
