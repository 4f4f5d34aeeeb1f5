"""A stand-in for a model: a local HTTP server that answers Claude Code with one tool call, then with "done".

It keeps what it was sent. Only what the client needs of the Messages API is here: a stream of events for one content block.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Conversation:
    """What the client sent: the tools it offered, and the content of the tool's result once it came back."""

    url: str = ""
    offered: set[str] = field(default_factory=set)
    result: Any = None
    is_error: bool | None = None


@contextmanager
def scripted_messages_api(tool: str, arguments: dict[str, Any]) -> Iterator[Conversation]:
    """Serve on a free local port until the block ends."""
    conversation = Conversation()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            if "count_tokens" in self.path:
                self._send("application/json", json.dumps({"input_tokens": 1}))
                return
            offered = {entry["name"] for entry in body.get("tools", []) if "name" in entry}
            conversation.offered |= offered
            content = body["messages"][-1]["content"]
            results = [part for part in content if isinstance(part, dict) and part.get("type") == "tool_result"]
            if results:
                conversation.result = results[0]["content"]
                conversation.is_error = bool(results[0].get("is_error"))
            if results or not offered:
                self._stream(body, {"type": "text", "text": ""}, {"type": "text_delta", "text": "done"}, "end_turn")
            else:
                use = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
                self._stream(body, use, {"type": "input_json_delta", "partial_json": json.dumps(arguments)}, "tool_use")

        def _stream(self, body: dict[str, Any], block: dict[str, Any], delta: dict[str, Any], stop: str) -> None:
            usage = {"input_tokens": 1, "output_tokens": 1}
            message = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": body.get("model"),
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": usage,
            }
            events = [
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": block},
                {"type": "content_block_delta", "index": 0, "delta": delta},
                {"type": "content_block_stop", "index": 0},
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": stop, "stop_sequence": None},
                    "usage": {"output_tokens": 1},
                },
                {"type": "message_stop"},
            ]
            self._send(
                "text/event-stream",
                "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events),
            )

        def _send(self, kind: str, text: str) -> None:
            payload = text.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    conversation.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield conversation
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
