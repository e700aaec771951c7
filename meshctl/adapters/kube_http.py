"""JSON over HTTPS to one API server: pooled connections, time limits, bounded retries."""

from __future__ import annotations

import json
import random
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from meshctl.adapters.kube_errors import Caller, Reply, refusal
from meshctl.errors import AccessError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.adapters.kube_config import Access
    from meshctl.ports import Clock

JSON = "application/json"
CONNECTIONS = 32
"""Connections kept for reuse; more are opened when more threads ask at once."""

_CONNECT = 10.0
_READ = 60.0
_FIRST_PATIENCE = 2.0
_PATIENCE = 30.0
_SHORT_PATIENCE = 10.0  # with a fault or a conflict, which may be there to stay
_IDEMPOTENT = frozenset({"GET", "PUT", "PATCH", "DELETE"})
AGENT = "meshctl"
"""How the API server's audit log names us."""

_BUSY = frozenset({429, 502, 503, 504})


class Http:
    """Sends requests to one API server; safe for several threads.

    A server that never answered is given up after some two seconds, so that a wrong address is told
    at once; one that did answer is waited for some thirty, as it may be restarting; one that answers with
    a fault of its own, or with a conflict that nobody is to blame for, some ten.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self.caller: Caller = access.caller
        self.server: str = access.configuration.host
        self.configuration = access.configuration
        self._clock = clock
        self._answered = False
        self._lock = threading.Lock()
        self._pool = _pool(access.configuration)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content: str = JSON,
        accept: str = JSON,
        asks: bool = False,
    ) -> Reply:
        """Send a request and give the answer, whatever its status code.

        A request is sent again when it failed and doing it twice is no harm.

        Args:
            method: of HTTP.
            path: below the server's address.
            query: parameters.
            body: JSON.
            content: media type of `body`.
            accept: media types of the answer.
            asks: whether a POST only asks a question, so that it may be sent again as any reading may.

        Raises:
            UnreachableError: no answer within the time limits, after retries where those are safe.
            AccessError: the server's certificate is not one that the kubeconfig trusts.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {**self.authorization(), "Accept": accept}
        if data is not None:
            headers["Content-Type"] = content
        url = self.url(path, query)
        safe = asks or method in _IDEMPOTENT
        begun = self._clock.monotonic()
        pause = 0.1
        while True:
            outcome = self._once(method, url, headers, data)
            patience = self._patience(method, body, outcome)
            if isinstance(outcome, Reply) and not patience:
                return outcome
            wait = max(pause * random.uniform(0.8, 1.2), _retry_after(outcome))  # noqa: S311 - spreads load
            too_late = self._clock.monotonic() + wait > begun + patience
            if too_late or not (safe or _was_not_done(outcome)) or not _may_heal(outcome):
                return self._last(outcome)
            self._clock.sleep(wait)
            pause = min(pause * 2, 2.0)

    def stream(self, path: str, query: Sequence[tuple[str, str]], *, silence: float) -> Any:
        """Open a streaming GET; gives urllib3's response, which the caller closes.

        `silence` is how many seconds without a byte end the stream with an error.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        headers = {**self.authorization(), "Accept": JSON}
        timeout = Timeout(connect=_CONNECT, read=silence)
        try:
            return self._pool.request(
                "GET",
                self.url(path, query),
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=timeout,
            )
        except HTTPError as error:
            raise self._no_answer(error) from error

    def authorization(self) -> dict[str, str]:
        """Headers that say who we are; refreshes a credential that has run out."""
        with self._lock:  # the package's refresh is not safe for several threads
            settings = self.configuration.auth_settings().values()
            given = {each["key"]: each["value"] for each in settings if each.get("value")}
        return {"User-Agent": AGENT, **given}

    def url(self, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """Full address of `path` with `query`."""
        return f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}"

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None
    ) -> Reply | Exception:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        timeout = Timeout(connect=_CONNECT, read=_READ)
        try:
            answer = self._pool.request(
                method, url, headers=headers, body=data, retries=False, timeout=timeout
            )
        except HTTPError as error:
            return error
        self._answered = True
        return Reply(answer.status, parsed(answer.data), answer.headers)

    def _patience(self, method: str, body: Any, outcome: Reply | Exception) -> float:
        """For how many seconds to try again; 0 for an answer that stands."""
        if isinstance(outcome, Exception):
            return _PATIENCE if self._answered else _FIRST_PATIENCE
        if outcome.code in _BUSY and not outcome.is_over_budget:
            return _PATIENCE  # how long a disruption budget says no is for who asks to decide
        if outcome.is_fault or (outcome.is_race and not _names_a_version(method, body)):
            return _SHORT_PATIENCE
        return 0.0

    def _last(self, outcome: Reply | Exception) -> Reply:
        if isinstance(outcome, Reply):
            return outcome
        raise self._no_answer(outcome) from outcome

    def _no_answer(self, error: Exception) -> UnreachableError | AccessError:
        words = str(error)
        if _certificate_fault(error):
            return AccessError(
                "certificate-not-trusted",
                f"context {self.caller.context!r} does not trust the certificate of {self.server}",
                hint="the cluster may have been made anew; get its kubeconfig again",
                details=(words,),
            )
        return UnreachableError(
            "cluster-unreachable",
            f"{self.server} does not answer",
            hint="is the cluster running, and is the address in the kubeconfig right?",
            details=(words,),
        )


def expect(reply: Reply, doing: str, caller: Caller) -> Any:
    """The body of a success; otherwise raises what the refusal means."""
    if reply.code >= 400:
        raise refusal(reply, doing, caller)
    return reply.body


def _pool(configuration: Any) -> Any:
    """The package's connection pool (it knows proxies), with one TLS context for all connections."""
    from kubernetes.client.rest import RESTClientObject

    configuration.connection_pool_maxsize = CONNECTIONS
    pool = RESTClientObject(configuration).pool_manager
    if configuration.host.startswith("https"):
        settings = pool.connection_pool_kw
        for key in ("cert_reqs", "ca_certs", "ca_cert_data", "cert_file", "key_file"):
            settings.pop(key, None)
        settings["ssl_context"] = _tls(configuration)
    return pool


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def parsed(data: bytes) -> Any:
    """The JSON in the body of an answer; text where it is none."""
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode(errors="replace")


def _names_a_version(method: str, body: Any) -> bool:
    """Whether a change is meant for the object as it was read: then a conflict is its answer."""
    meant = isinstance(body, dict) and (
        "preconditions" in body or bool((body.get("metadata") or {}).get("resourceVersion"))
    )
    return meant or method not in ("PATCH", "DELETE")


def _was_not_done(outcome: Reply | Exception) -> bool:
    """Whether it is certain that the server did not do what was asked."""
    from urllib3.exceptions import NewConnectionError

    if isinstance(outcome, Reply):
        return outcome.code == 429
    return isinstance(outcome, NewConnectionError)  # refused, so nothing was sent


def _may_heal(outcome: Reply | Exception) -> bool:
    """Whether trying again may help: not after ten seconds of silence, nor with a wrong certificate."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    if isinstance(outcome, ConnectTimeoutError) and not isinstance(outcome, NewConnectionError):
        return False
    return isinstance(outcome, Reply) or not _certificate_fault(outcome)


def _certificate_fault(error: Exception) -> bool:
    from urllib3.exceptions import SSLError

    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _retry_after(outcome: Reply | Exception) -> float:
    if not isinstance(outcome, Reply):
        return 0.0
    value = outcome.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
