"""How fast the server answers: milliseconds from process start to `initialize`, and per trivial tool call over stdio.

Beside each start the bare import of the protocol's SDK is timed, which no server in Python goes below on the same machine.

python benchmarks/startup.py [--starts 5] [--calls 200]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


class StdioServer:
    """A running `mle-star serve`, spoken to in plain JSON lines so that no client library is measured with it."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._process = subprocess.Popen(
            [*command, "serve", "--home", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._id = 0

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; notifications in between are skipped."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == self._id:
                return answer
        raise SystemExit("the server closed its output; run `mle-star doctor`")

    def initialize(self) -> None:
        """The handshake of protocol revision 2025-11-25."""
        client = {"name": "startup-benchmark", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def close(self) -> None:
        """Close the server's input, as a client does, and wait for it to leave."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def main() -> None:
    """Measure and print two lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    command = [str(Path(sys.executable).with_name("mle-star"))]
    if shutil.which(command[0]) is None:
        command = [sys.executable, "-m", "mle_star.server.cli"]
    starts, calls, floors = [], [], []
    with tempfile.TemporaryDirectory() as home:
        for number in range(options.starts):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", "from mcp.server import MCPServer"], check=True)
            floors.append(1000 * (time.perf_counter() - begin))
            begin = time.perf_counter()
            server = StdioServer(command, Path(home))
            server.initialize()
            starts.append(1000 * (time.perf_counter() - begin))
            for _ in range(options.calls if number == 0 else 0):
                begin = time.perf_counter()
                answer = server.request("tools/call", {"name": "list_runs", "arguments": {}})
                calls.append(1000 * (time.perf_counter() - begin))
                if "result" not in answer or answer["result"].get("isError"):
                    raise SystemExit(f"list_runs failed: {answer}")
            server.close()
    print(
        f"start → initialize answered: median {statistics.median(starts):.0f} ms, max {max(starts):.0f} ms, n={len(starts)}"
    )
    print(f"bare import of the SDK: median {statistics.median(floors):.0f} ms, max {max(floors):.0f} ms")
    print(f"list_runs over stdio: median {statistics.median(calls):.2f} ms, max {max(calls):.1f} ms, n={len(calls)}")


if __name__ == "__main__":
    main()
