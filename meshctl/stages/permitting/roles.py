"""Rights as Kubernetes' roles and bindings, ready for `kubectl apply`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where, nearest
from meshctl.model.right import policy
from meshctl.stages.permitting.resources import RBAC
from meshctl.stages.rendering.emit import block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.model.right import PolicyRule, Right

_KINDS = {"user": "User", "group": "Group", "serviceaccount": "ServiceAccount"}
_API = f"{RBAC}/v1"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is to hold rights; `namespace` is empty but for a service account."""

    kind: str
    name: str
    namespace: str = ""

    @classmethod
    def parse(cls, said: str) -> Subject:
        """From `user:NAME`, `group:NAME` or `serviceaccount:NAMESPACE/NAME`.

        Raises:
            ConfigError: it is none of these.
        """
        kind, colon, name = said.partition(":")
        namespace, slash, account = name.partition("/")
        hint = "write user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME"
        if not colon or not name:
            raise ConfigError(
                "subject-invalid", f"{said!r} names nobody", where=Where("--subject"), hint=hint
            )
        if kind.lower() not in _KINDS:
            near = nearest(kind.lower(), _KINDS)
            guess = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(
                "subject-invalid",
                f"unknown kind of subject {kind!r}{guess}",
                where=Where("--subject"),
                hint=hint,
            )
        if _KINDS[kind.lower()] != "ServiceAccount":
            return cls(_KINDS[kind.lower()], name)
        if not (slash and namespace and account) or "/" in account:
            raise ConfigError(
                "subject-invalid",
                f"the service account {name!r} needs a namespace and a name",
                where=Where("--subject"),
                hint=hint,
            )
        return cls("ServiceAccount", account, namespace)

    def content(self) -> dict[str, str]:
        """As a binding has it."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"apiGroup": RBAC, "kind": self.kind, "name": self.name}


@dataclass(frozen=True)
class Roles:
    """Roles of one name, by namespace (empty: the ClusterRole), whom they are bound to, and where.

    `homes` are namespaces that have to be there before a Role can be, in which an install makes them.
    """

    name: str
    rules: Mapping[str, tuple[PolicyRule, ...]]
    subjects: tuple[Subject, ...]
    homes: tuple[str, ...]

    def contents(self) -> list[dict[str, Any]]:
        """The objects, namespaces first, a role before its binding."""
        found: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}} for home in self.homes
        ]
        for namespace, rules in self.rules.items():
            role = self._meta("Role" if namespace else "ClusterRole", namespace)
            found.append({**role, "rules": [rule.content() for rule in rules]})
            if self.subjects:
                found.append(self._binding(namespace))
        return found

    def text(self) -> str:
        """The objects as YAML, each rule under a comment that says what it is for."""
        lines = []
        for content in self.contents():
            rules = content.pop("rules", None)
            lines.append(f"---\n{block(content)}")
            if rules is not None:
                namespace = content["metadata"].get("namespace", "")
                lines.append("rules:\n" + "".join(_rules_text(self.rules[namespace])))
        return "".join(lines)

    def _binding(self, namespace: str) -> dict[str, Any]:
        kind = "Role" if namespace else "ClusterRole"
        return {
            **self._meta(f"{kind}Binding", namespace),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": self.name},
            "subjects": [each.content() for each in self.subjects],
        }

    def _meta(self, kind: str, namespace: str) -> dict[str, Any]:
        place = {"namespace": namespace} if namespace else {}
        return {"apiVersion": _API, "kind": kind, "metadata": {"name": self.name, **place}}


def roles(
    name: str, rights: Iterable[Right], subjects: Iterable[Subject] = (), homes: Iterable[str] = ()
) -> Roles:
    """The roles that allow just these rights.

    Args:
        name: of all roles and bindings.
        rights: what is to be allowed.
        subjects: who is to hold them; nobody: no bindings.
        homes: namespaces that may not be there yet.
    """
    rules = policy(rights)
    return Roles(name, rules, tuple(subjects), tuple(sorted({*homes} & rules.keys())))


def _rules_text(rules: Iterable[PolicyRule]) -> Iterator[str]:
    told = ""
    for rule in rules:
        if rule.why != told:
            told = rule.why
            yield f"  # {told}\n"
        first, *rest = [f"{key}: {json.dumps(value)}" for key, value in rule.content().items()]
        yield f"  - {first}\n" + "".join(f"    {line}\n" for line in rest)
