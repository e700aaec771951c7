"""What an API server's refusal means to the person who must act."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshctl.errors import AccessError, ConflictError, FailedError, MeshctlError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_RIGHTS = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" '
    r'in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_TYPES = ("failed to create typed", "failed to convert new object")
"""How the API server begins to say that an applied object does not fit its kind, as a fault (500)."""
_WEBHOOK = "failed calling webhook"
_OWNER = re.compile(r'conflict with "(?P<manager>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose credentials are used, and where: what messages about access have to name."""

    server: str
    context: str = ""
    user: str = ""
    remedy: Callable[[], str] = str
    """Says what to do when the credentials are refused; asked only then."""

    def __str__(self) -> str:
        return f"user {self.user!r} of context {self.context!r}" if self.user else f"context {self.context!r}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: status code, parsed JSON body (an object, or text where it is none) and headers."""

    code: int
    body: Any = field(default=None, repr=False)  # may be a Secret, or a token
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Mapping[str, Any]:
        """The Kubernetes Status in a refusal; empty when the body is none."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def reason(self) -> str:
        """Kubernetes' one-word reason, such as `AlreadyExists`."""
        return str(self.status.get("reason", ""))

    @property
    def message(self) -> str:
        """The server's own words."""
        return str(self.status.get("message") or self.body or f"HTTP {self.code}").strip()

    @property
    def causes(self) -> tuple[Mapping[str, Any], ...]:
        """Causes in the details of a Status."""
        return tuple((self.status.get("details") or {}).get("causes") or ())

    @property
    def is_over_budget(self) -> bool:
        """Whether an eviction was refused for the sake of a disruption budget."""
        return self.code == 429 and any(cause.get("reason") == "DisruptionBudget" for cause in self.causes)

    @property
    def is_fault(self) -> bool:
        """Whether the server failed by itself, as without its etcd; not over what it was given."""
        return self.code == 500 and _WEBHOOK not in self.message and not self.message.startswith(_TYPES)

    @property
    def is_race(self) -> bool:
        """Whether others changed the object while the server was at it; no field manager objects."""
        return self.code == 409 and not self.causes


def refusal(reply: Reply, doing: str, caller: Caller) -> MeshctlError:
    """The error for an answer that is no success.

    Args:
        reply: the answer, status code 400 or more.
        doing: verb and object, such as `apply Deployment istio-system/istiod`.
        caller: whose call it was.
    """
    if reply.code == 401:
        return AccessError(
            "credentials-refused",
            f"{caller.server} does not accept the credentials of {caller}",
            hint=caller.remedy() or "log in again, or name another context with `--context`",
            details=(reply.message,),
        )
    if reply.code == 403:
        return _forbidden(reply, doing, caller)
    if reply.code == 409:
        return _conflict(reply, doing)
    if reply.code in (429, 502, 503, 504):
        return UnreachableError(
            "server-busy",
            f"{caller.server} is not able to {doing} at the moment",
            hint="try again",
            details=(reply.message,),
        )
    if reply.is_fault:
        return UnreachableError(
            "server-failed",
            f"{caller.server} failed to {doing}",
            hint="try again; if it stays so, see the log of the API server",
            details=(reply.message,),
        )
    if reply.code == 500 and _WEBHOOK in reply.message:
        return FailedError(
            "webhook-unavailable",
            f"a webhook that must agree to {doing} does not answer",
            hint="look at the webhook's service; it may still be starting",
            details=(reply.message,),
        )
    if reply.code == 422:
        return FailedError("object-invalid", f"the API server refused to {doing}", details=_invalid(reply))
    if reply.code == 404:
        return FailedError(
            "not-found",
            f"it is not possible to {doing}: what it needs is not there",
            hint="is its namespace there?",
            details=(reply.message,),
        )
    return FailedError("request-refused", f"the API server refused to {doing}", details=(reply.message,))


def _forbidden(reply: Reply, doing: str, caller: Caller) -> MeshctlError:
    if any(cause.get("reason") == "NamespaceTerminating" for cause in reply.causes):
        return FailedError(
            "namespace-terminating",
            f"the namespace is being deleted, so it is not possible to {doing}",
            hint="wait until the namespace is gone, then run the same command again",
            details=(reply.message,),
        )
    rights = _RIGHTS.search(reply.message)
    if rights is None and "exceeded quota" in reply.message:
        return FailedError(
            "quota-exceeded",
            f"a resource quota does not allow to {doing}",
            hint="raise the quota, or ask for less",
            details=(reply.message,),
        )
    if rights is None and (reply.message.startswith("admission webhook") or "violates" in reply.message):
        return FailedError(
            "admission-denied", f"an admission rule does not allow to {doing}", details=(reply.message,)
        )
    if rights is None:
        return AccessError("not-allowed", f"{caller} may not {doing}", details=(reply.message,))
    resource = f"{rights['resource']}.{rights['group']}" if rights["group"] else rights["resource"]
    place = f"namespace {rights['namespace']!r}" if rights["namespace"] else "the whole cluster"
    return AccessError(
        "not-allowed",
        f"user {rights['user']!r} may not {rights['verb']} {resource} in {place}",
        hint=f"grant `{rights['verb']}` on `{resource}` to that user, or use other credentials",
        details=(reply.message,),
    )


def _conflict(reply: Reply, doing: str) -> MeshctlError:
    owned = [cause for cause in reply.causes if cause.get("reason") == "FieldManagerConflict"]
    if not owned:
        code = "already-exists" if reply.reason == "AlreadyExists" else "object-changed"
        return ConflictError(code, f"the API server refused to {doing}", details=(reply.message,))
    lines = sorted({f"{_manager(cause)}: {cause.get('field', '')}" for cause in owned})
    return ConflictError(
        "fields-owned-by-others",
        f"it is not possible to {doing}: {len(lines)} of its fields belong to other field managers",
        hint="agree with their owner, or take the fields over with `--take-over`",
        details=tuple(lines),
    )


def _manager(cause: Mapping[str, Any]) -> str:
    found = _OWNER.search(str(cause.get("message", "")))
    return found["manager"] if found else "unknown"


def _invalid(reply: Reply) -> tuple[str, ...]:
    lines = tuple(f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in reply.causes)
    return lines or (reply.message,)
