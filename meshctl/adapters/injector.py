"""An injector's webhook, asked as the API server does: HTTPS, by port-forward or at its address."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshctl.errors import AccessError, FailedError, UnreachableError
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.objects import Object
    from meshctl.ports import Cluster

_PORT = 443
_TARGET = 15017
_SECONDS = 10.0


@dataclass(frozen=True)
class _Address:
    """Where a webhook answers, and by what name its certificate knows it."""

    host: str
    port: int
    name: str
    path: str


def ask(cluster: Cluster, client: Mapping[str, Any], review: Mapping[str, Any]) -> Any:
    """What a webhook answers to an AdmissionReview.

    Args:
        cluster: the cluster of the webhook.
        client: the `clientConfig` of the webhook.
        review: the AdmissionReview.

    Raises:
        UnreachableError: nobody answers.
        AccessError: its certificate is not one that the webhook's CA bundle vouches for.
        FailedError: it answers something else than a review.
    """
    service = client.get("service")
    if not service:
        url = urlsplit(client.get("url") or "")
        name = url.hostname or ""
        path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
        return _post(_Address(name, url.port or _PORT, name, path), client, review)
    name = f"{service['name']}.{service['namespace']}.svc"
    pod, port = _behind(cluster, service)
    with cluster.forward(service["namespace"], pod, port) as (host, local):
        return _post(_Address(host, local, name, service.get("path") or "/"), client, review)


def _behind(cluster: Cluster, service: Mapping[str, Any]) -> tuple[str, int]:
    """A pod that answers for a service, and its port there."""
    ref = Ref("v1", "Service", service["namespace"], service["name"])
    found = cluster.get(ref)
    selector = found.at("spec.selector", {}) if found else {}
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = cluster.list("v1", "Pod", namespace=ref.namespace, labels=labels) if labels else ()
    ready = sorted((each for each in pods if _is_ready(each)), key=lambda each: each.ref.name)
    if found is None or not ready:
        what = "does not exist" if found is None else "leads to no pod that is ready"
        raise UnreachableError(
            "injector-unreachable",
            f"{ref}, which injects, {what}",
            hint="`meshctl status` tells how istiod is; `inject --offline` needs none",
        )
    wanted = service.get("port") or _PORT
    targets = [each.get("targetPort") for each in found.at("spec.ports", ()) if each.get("port") == wanted]
    return ready[0].ref.name, targets[0] if targets and isinstance(targets[0], int) else _TARGET


def _is_ready(pod: Object) -> bool:
    conditions = pod.at("status.conditions", ())
    return not pod.is_leaving and any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in conditions
    )


def _post(address: _Address, client: Mapping[str, Any], review: Mapping[str, Any]) -> Any:
    context = _trust(client.get("caBundle"))
    body = json.dumps(review, separators=(",", ":")).encode()
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.name) as secured,
        ):
            connection = http.client.HTTPConnection(address.name, address.port, timeout=_SECONDS)
            connection.sock = secured
            connection.request("POST", address.path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
    except ssl.SSLCertVerificationError as fault:
        raise AccessError(
            "injector-not-trusted",
            f"the certificate of {address.name} is not one that its webhook's CA bundle vouches for",
            hint="istiod writes the bundle; has another tool changed the webhook configuration?",
            details=(str(fault),),
        ) from fault
    except (OSError, http.client.HTTPException) as fault:
        raise UnreachableError(
            "injector-unreachable",
            f"{address.name}, which injects, does not answer",
            hint="`meshctl status` tells how istiod is; `inject --offline` needs none",
            details=(str(fault),),
        ) from fault
    return _parsed(text, reply.status, address)


def _trust(bundle: str | None) -> ssl.SSLContext:
    if not bundle:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as fault:
        raise FailedError(
            "bad-ca-bundle",
            "the CA bundle of the webhook configuration is no certificate",
            hint="istiod writes it; is istiod running?",
            details=(str(fault),),
        ) from fault
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # istiod's own root says less than RFC 5280 asks for
    return context


def _parsed(text: bytes, status: int, address: _Address) -> Any:
    words = text.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        raise FailedError(
            "bad-answer",
            f"{address.name} answers {status} and no AdmissionReview",
            details=(words[:500],),
        ) from None
