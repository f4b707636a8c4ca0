"""A GitHub Enterprise behind TLS that knows one token.  Listens on $PORT."""

import json
import os
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = Path(__file__).parent
USER = {"id": 1, "login": "ada", "name": "Ada", "email": "ada@example.org", "avatar_url": ""}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = f"Bearer {(FILES / 'token').read_text()}"
        self.send_response(200 if self.headers.get("Authorization") == known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(USER).encode())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(FILES / "tls.crt", FILES / "tls.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
