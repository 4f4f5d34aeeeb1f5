"""Node packages that tests drive, in a folder that is kept between runs (`MLE_STAR_NPM_CACHE`, by default in the user's cache)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

NODE = "node@22"
"""Asked for first: with an older Node, npm silently picks old versions of the others."""
PACKAGES = (
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@anthropic-ai/claude-code@2.1.329",
)


def install() -> Path:
    """Return the folder `node_modules` with all of them."""
    cache = os.environ.get("MLE_STAR_NPM_CACHE")
    folder = Path(cache) if cache else Path.home() / ".cache" / "mle-star-tests" / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    stamp = folder / "installed.json"
    wanted = [NODE, *PACKAGES]
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        (folder / "package.json").write_text('{"private": true}')
        for packages in ([NODE], list(PACKAGES)):
            command = ["npm", "install", "--no-fund", "--no-audit", *packages]
            subprocess.run(command, cwd=folder, env=environment(modules), check=True, capture_output=True)
        stamp.write_text(json.dumps(wanted))
    return modules


def environment(modules: Path, **more: str) -> dict[str, str]:
    """This process's environment with that Node first."""
    return {**os.environ, "PATH": f"{modules / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}", **more}
