"""A server whose model is a function, for clients that ask for streams as well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from models.protocol_server import ProtocolServer, answer

if TYPE_CHECKING:
    from collections.abc import Callable


class StreamServer(ProtocolServer):
    """`model` gets all that was said as one text, and returns what it answers."""

    def __init__(self, model: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self.model = model
        self.always = self._answer

    def _answer(self, handler: Any, body: dict[str, Any]) -> None:
        text = self.model("\n".join(str(one["content"]) for one in body["messages"]))
        if not body.get("stream"):
            answer(handler, body, text=text)
            return
        head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
        delta = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        chunks = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": usage},
        ]
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        data = lines.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
