"""A client of one sandbox API server, on the standard library: the few calls that bringing it up needs."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from meshctl.errors import FailedError, UnreachableError
from meshctl.sandbox.certificates import Certificates

_MANAGER = "meshctl-sandbox"


class Api:
    """Requests to one API server, each over a connection of its own."""

    def __init__(self, server: str, files: Certificates, user: str = "sandbox") -> None:
        """Reach `server` (a URL) as `user`, with that user's certificate in `files`."""
        self.server = server
        self._files = files
        self._user = user
        self._context: ssl.SSLContext | None = None

    def get(self, path: str) -> Any:
        """The JSON at `path`; None when there is nothing (404)."""
        status, body = self._ask("GET", path)
        if status == http.client.NOT_FOUND:
            return None
        return self._checked("GET", path, status, body)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Create `body` in the collection, or at the subresource, `path`; the answer."""
        return self._send("POST", path, body, "application/json")

    def delete(self, path: str) -> None:
        """Delete the object at `path`; fine if it is gone."""
        status, body = self._ask("DELETE", path)
        if status != http.client.NOT_FOUND:
            self._checked("DELETE", path, status, body)

    def apply(self, path: str, manifest: dict[str, Any]) -> Any:
        """Server-side apply of `manifest` at the object's own `path`."""
        where = f"{path}?fieldManager={_MANAGER}&force=true"
        return self._send("PATCH", where, manifest, "application/apply-patch+yaml")

    def patch(self, path: str, change: dict[str, Any]) -> Any:
        """A JSON merge patch of the object or subresource at `path`."""
        return self._send("PATCH", path, change, "application/merge-patch+json")

    def readiness(self) -> str:
        """Why the server is not ready; empty when it is."""
        try:
            status, body = self._ask("GET", "/readyz?verbose")
        except UnreachableError as error:
            return error.details[0] if error.details else error.message
        if status == http.client.OK:
            return ""
        failing = [line.split("]", 1)[1].split()[0] for line in body.splitlines() if line.startswith("[-]")]
        if not failing:
            return f"answers {status}"
        more = f" and {len(failing) - 1} more" if failing[1:] else ""
        return f"not ready: {failing[-1].removeprefix('poststarthook/')}{more}"

    def watch(self, path: str, *, seconds: int = 300) -> Iterator[tuple[str, dict[str, Any]]]:
        """Changes at the collection `path` as they come, for `seconds`: (type, object).

        Raises:
            UnreachableError: the connection broke.
        """
        joint = "&" if "?" in path else "?"
        connection = self._connect(timeout=seconds + 30)
        try:
            connection.request("GET", f"{path}{joint}watch=1&timeoutSeconds={seconds}")
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                self._checked("GET", path, answer.status, answer.read().decode(errors="replace"))
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise self._unreachable(cause) from cause
        finally:
            connection.close()

    def _send(self, method: str, path: str, body: dict[str, Any], kind: str) -> Any:
        status, answer = self._ask(method, path, json.dumps(body), kind)
        return self._checked(method, path, status, answer)

    def _ask(self, method: str, path: str, body: str | None = None, kind: str = "") -> tuple[int, str]:
        connection = self._connect(timeout=10)
        try:
            headers = {"Content-Type": kind} if kind else {}
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as cause:
            raise self._unreachable(cause) from cause
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        if self._context is None:
            # Whole before another thread sees it: without the certificate it would be nobody.
            context = ssl.create_default_context(cafile=str(self._files.authority))
            context.load_cert_chain(self._files.certificate(self._user), self._files.key(self._user))
            self._context = context
        address = urlsplit(self.server)
        return http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=timeout, context=self._context
        )

    def _checked(self, method: str, path: str, status: int, body: str) -> Any:
        if status < http.client.BAD_REQUEST:
            return json.loads(body)
        try:
            words = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            words = body[:300]
        raise FailedError("api-refused", f"{method} {path} answered {status}", details=[words])

    def _unreachable(self, cause: Exception) -> UnreachableError:
        return UnreachableError("api-unreachable", f"no answer from {self.server}", details=[str(cause)])
