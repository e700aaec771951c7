"""A well-behaved service of the traffic tests: HTTP on 8080, lines echoed over TCP on 9000.

Runs in a pod, on the standard library alone. Told to end, it lets connections that are open come to their
end, as whoever wants no failed request must.
"""

import itertools
import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 10.0
"""Seconds that open connections have when the service is told to end."""
SLOW = 3.0
"""Seconds that the path `/slow` takes; `/flaky` fails every second time."""

turns = itertools.count()


class Open:
    """How many TCP connections are open."""

    count = 0
    lock = threading.Lock()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(SLOW)
        status = 503 if self.path == "/flaky" and next(turns) % 2 == 0 else 200
        peers = self.headers.get("x-forwarded-client-cert", "")
        body = json.dumps({"pod": os.environ["POD"], "path": self.path, "peers": peers}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with Open.lock:
            Open.count += 1
        try:
            for line in self.rfile:
                self.wfile.write(line)
        except OSError:
            pass  # the client went
        finally:
            with Open.lock:
                Open.count -= 1


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def main() -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    servers = ThreadingHTTPServer(("", 8080), Http), Tcp(("", 9000), Lines)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ended.wait()
    give_up = time.monotonic() + PATIENCE
    while Open.count and time.monotonic() < give_up:
        time.sleep(0.1)
    sys.exit(0)


if __name__ == "__main__":
    main()
