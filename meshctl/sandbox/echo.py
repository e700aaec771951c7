"""A small HTTP service for the sandbox's application image; it runs in pods on the standard library alone.

Answers every GET with one JSON object: its own name (`NAME`, else the host name), the path, and the
request's headers. Listens on `PORT`, 8080 by default.
"""

import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    """Says who answered and what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with what was asked."""
        body = json.dumps(
            {
                "name": os.environ.get("NAME", socket.gethostname()),  # noqa: TID251 - its only input
                "path": self.path,
                "headers": {key.lower(): value for key, value in self.headers.items()},
            },
            sort_keys=True,
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until told to end; as process 1 nothing but a handler ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "8080"))  # noqa: TID251 - its only input
    ThreadingHTTPServer(("", port), Echo).serve_forever()


if __name__ == "__main__":
    main()
