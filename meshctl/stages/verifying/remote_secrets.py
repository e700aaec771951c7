"""Remote secrets as istiod sees them: whether it could use them, and whether their tokens are taken.

Source: istio.io/istio pkg/kube/multicluster/secretcontroller.go.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import AccessError, MeshctlError, UnreachableError
from meshctl.model.link import CONFIG_KEY, CONFIG_SECRET, MULTICLUSTER, READS, life_of
from meshctl.model.objects import Object, Ref
from meshctl.model.verification import SecretSeen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.ports import Cluster

_REVIEW: Final = "authentication.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class _Used:
    """What istiod would take from a kubeconfig."""

    server: str
    token: str


def remote_secrets(
    doors: Mapping[str, Cluster], name: str, namespace: str, config: str = ""
) -> tuple[SecretSeen, ...]:
    """The kubeconfigs by which the istiods of a cluster read others.

    Each token is shown to the cluster it is for, and to nobody else.

    Args:
        doors: to all clusters of the fleet, by name.
        name: of the cluster whose istiods read.
        namespace: of these istiods.
        config: name of the cluster that they find their configuration in; empty: their own.
    """
    door = doors[name]
    found = list(door.list("v1", "Secret", namespace=namespace, labels=f"{MULTICLUSTER}=true"))
    if config:
        secret = door.get(Ref("v1", "Secret", namespace, CONFIG_SECRET))
        found += [secret] if secret else []
    seen = [
        _seen(doors, secret, config if key == CONFIG_KEY and config else key, text)
        for secret in found
        for key, text in _kubeconfigs(secret)
    ]
    return tuple(sorted(seen, key=lambda each: (each.cluster, each.subject)))


def _kubeconfigs(secret: Object) -> Iterator[tuple[str, str]]:
    data = secret.at("data", {})
    if not data and READS in secret.annotations:
        yield secret.annotations[READS], ""
    for key, encoded in sorted(data.items()):
        try:
            yield key, base64.b64decode(encoded).decode()
        except (binascii.Error, UnicodeDecodeError):
            yield key, ""


def _seen(doors: Mapping[str, Cluster], secret: Object, cluster: str, text: str) -> SecretSeen:
    subject = str(secret.ref)
    used = _used(text)
    if isinstance(used, str):
        return SecretSeen(subject, cluster, fault=used)
    life = life_of(used.token)
    refused = ""
    if used.token and cluster in doors:
        refused = _refused(doors[cluster], used.token)
    return SecretSeen(subject, cluster, used.server, life.ends if life else None, refused=refused)


def _used(text: str) -> _Used | str:
    """What istiod takes from a kubeconfig, or why it takes nothing."""
    import yaml

    try:
        config: Any = yaml.safe_load(text)
        current = config["current-context"]
        context = _named(config["contexts"], current)["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
    except (yaml.YAMLError, KeyError, TypeError, StopIteration):
        return "it holds no whole kubeconfig"
    if user.get("exec") or user.get("tokenFile") or user.get("client-certificate"):
        return "it asks for a program or a file, which istiod does not take from a Secret"
    if not cluster.get("server"):
        return "it names no server"
    return _Used(str(cluster["server"]), str(user.get("token") or ""))


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for each in entries if each["name"] == name)


def _refused(door: Cluster, token: str) -> str:
    """Why a cluster does not take a token; empty when it does, or will not tell us."""
    review = {"apiVersion": _REVIEW, "kind": "TokenReview", "spec": {"token": token}}
    try:
        answer = door.create(Object(review))
    except (AccessError, UnreachableError):
        return ""  # that there is no answer is told of the cluster itself
    except MeshctlError as error:
        return error.message
    if answer.at("status.authenticated", False):
        return ""
    return str(answer.at("status.error", "")).strip("[]") or "it is not known there"
