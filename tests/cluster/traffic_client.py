"""A client of the traffic tests: asks without a break, tries nothing twice, and writes down what failed.

Runs in a pod, or on the machine itself, on the standard library alone. `TARGETS` is JSON: a list of targets,
each `{"name", "http": URL, "host", "expect": texts of answers}` or `{"name", "tcp": [host, port]}`; `REPORT`
is the file that gets a line of JSON for each failure and each second. Told to end, it finishes what is under
way, and says so.
"""

import http.client
import json
import os
import signal
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

DEADLINE = 10.0
"""Seconds that one request, and one echo of a line, may take."""
PAUSE = 0.4
LASTS = 3.0
"""Seconds that a TCP connection is kept, with a line and its echo every PAUSE."""

ended = threading.Event()


class Report:
    """The file; each line is written at once and whole."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def say(self, **content: Any) -> None:
        os.write(self.file, json.dumps({"at": round(time.time(), 2), **content}).encode() + b"\n")


def ask_http(target: dict[str, Any]) -> str:
    """One request on a connection of its own; why it failed, or nothing."""
    url = urlsplit(target["http"])
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=DEADLINE)
    began = time.monotonic()
    try:
        connection.request("GET", url.path or "/", headers={"host": target.get("host") or url.netloc})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return f"HTTP {answer.status} of {answer.headers.get('server', '?')}: {body[:160]!r}"
        if b'"pod"' not in body:
            return f"another answer than the service's: {body[:80]!r}"
        for text in target.get("expect", ()):
            if text.encode() not in body:
                return f"no {text} in {body[:400]!r}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    late = time.monotonic() - began
    return f"answered after {late:.1f} s" if late > DEADLINE else ""


def ask_tcp(target: dict[str, Any]) -> str:
    """One connection, over which lines go and come back; why it failed, or nothing."""
    began, lines = time.monotonic(), 0
    try:
        with socket.create_connection((target["tcp"][0], target["tcp"][1]), timeout=DEADLINE) as connection:
            connection.settimeout(DEADLINE)
            with connection.makefile("rb") as back:
                while time.monotonic() - began < LASTS:
                    line = b"%d\n" % lines
                    connection.sendall(line)
                    if (echo := back.readline()) != line:
                        return f"after {lines} lines: " + ("closed" if not echo else f"echo {echo!r}")
                    lines += 1
                    time.sleep(PAUSE)
    except OSError as error:
        return f"after {lines} lines: {type(error).__name__}: {error}"
    return ""


def follow(target: dict[str, Any], report: Report) -> None:
    """Ask until told to end."""
    ask = ask_http if "http" in target else ask_tcp
    count = told = 0
    since = time.monotonic()
    while not ended.is_set():
        begun = time.time()
        failed = ask(target)
        count += 1
        if failed:
            report.say(target=target["name"], failed=failed, begun=round(begun, 2))
        if time.monotonic() - since >= 1:
            report.say(target=target["name"], done=count - told)
            told, since = count, time.monotonic()
        ended.wait(PAUSE)
    report.say(target=target["name"], done=count - told)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    report = Report(os.environ["REPORT"])
    targets = json.loads(os.environ["TARGETS"])
    threads = [threading.Thread(target=follow, args=(target, report)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.say(ended=True)


if __name__ == "__main__":
    main()
