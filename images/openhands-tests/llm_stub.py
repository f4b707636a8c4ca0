"""
A model behind OpenAI's chat completions that does as it is told.

A user's line `run: COMMAND` makes one tool call of execute_bash; everything else is answered in words.
GET /seen lists the last requests.  Listens on $PORT.
"""

import json
import os
import re
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORDER = re.compile(r"^run: (.+)$", re.MULTILINE)
SEEN = deque(maxlen=100)


def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


def order_in(messages):
    """The command of the last order, unless it has been carried out."""
    for number in range(len(messages) - 1, -1, -1):
        message = messages[number]
        found = ORDER.findall(text_of(message)) if message["role"] == "user" else []
        if found:
            later = messages[number + 1 :]
            return None if any(each["role"] == "tool" for each in later) else found[-1]
    return None


def answer(request):
    if not request.get("tools"):
        return {"role": "assistant", "content": "A stub's title"}
    command = order_in(request["messages"])
    if command is None:
        return {"role": "assistant", "content": "done"}
    arguments = {"command": command, "security_risk": "LOW"}
    call = {"name": "execute_bash", "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": "As you wish.",
        "tool_calls": [{"id": f"call_{len(SEEN)}", "type": "function", "function": call}],
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_json(list(SEEN))

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        SEEN.append({"authorization": self.headers.get("Authorization"), "body": request})
        message = answer(request)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        self.send_json(
            {
                "id": "stub",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": request.get("model", "stub"),
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            }
        )

    def send_json(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """No lines for requests."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
