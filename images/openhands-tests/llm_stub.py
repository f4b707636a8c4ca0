"""
An LLM for tests, on the OpenAI chat protocol: it does what the last message says, word by word.

`write FILE: TEXT` or a line `run: COMMAND` in a message becomes one call of execute_bash, and after its
result a finish; any other message is finished at once.  Requests without tools get a title.  GET /requests lists the
bodies it was sent.  It listens on $PORT and needs nothing but Python.
"""

import json
import os
import re
import shlex
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WRITE = re.compile(r"write (\S+): (.+)")
RUN = re.compile(r"^run: (.+)$", re.MULTILINE)
TITLE = "Title by the stub"
DONE = "Done as told."

Message = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests: deque[Message] = deque(maxlen=200)

    def do_GET(self) -> None:
        if self.path == "/requests":
            self._answer(list(self.requests))
        else:
            self._answer({"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        self._answer(completion(body))

    def _answer(self, document: Any) -> None:
        payload = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Nothing: what a client sends in a URL or a header is its own business."""


def completion(body: Message) -> Message:
    """The answer to one request."""
    message: Message = {"role": "assistant", "content": TITLE}
    if body.get("tools"):
        name, arguments = next_call(body["messages"])
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": f"call_{time.monotonic_ns()}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": f"chatcmpl-{time.monotonic_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model", "stub"),
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def next_call(messages: list[Message]) -> tuple[str, Message]:
    """The tool to call and its arguments; a message is obeyed once, before its tool answers."""
    for message in reversed(messages):
        if message["role"] in ("assistant", "tool"):
            break
        if message["role"] == "user" and (command := command_in(text_of(message))):
            return "execute_bash", {"command": command, "security_risk": "LOW"}
    return "finish", {"message": DONE}


def command_in(text: str) -> str | None:
    if told := RUN.search(text):
        return told[1]
    if told := WRITE.search(text):
        return f"printf %s {shlex.quote(told[2].strip())} > {shlex.quote(told[1])}"
    return None


def text_of(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
