"""What a pod may be told about itself: fields, resources, and variables in arguments.

Source: Kubernetes API, ObjectFieldSelector, ResourceFieldSelector and EnvVar.
"""

from __future__ import annotations

import base64
import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from meshctl.errors import FailedError
from meshctl.model.quantity import amount
from meshctl.sandbox.api import Api

_VARIABLE = re.compile(r"\$\$|\$\((?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\)")
_KEYED = re.compile(r"metadata\.(?P<map>labels|annotations)\['(?P<key>[^']+)'\]")
_OF_THE_NODE = {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "1Gi"}
"""What a container without a limit is told: not the node's size, so that programs stay small."""


def environment(api: Api, pod: dict[str, Any], container: dict[str, Any]) -> dict[str, str]:
    """The container's variables, in their order, each seeing those before it.

    Raises:
        FailedError: a ConfigMap or Secret that must be there is not.
    """
    found: dict[str, str] = {}
    for variable in container.get("env", []):
        value = _variable(api, pod, container, variable, found)
        if value is not None:
            found[variable["name"]] = value
    return found


def expand(text: str, variables: dict[str, str]) -> str:
    """`text` with `$(NAME)` replaced where NAME is known; `$$` is one dollar."""

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        return "$" if name is None else variables.get(name, match[0])

    return _VARIABLE.sub(value, text)


def field_value(pod: dict[str, Any], container: dict[str, Any], source: dict[str, Any]) -> str:
    """The value of a `fieldRef` or `resourceFieldRef`; empty for a field that is not there."""
    if "resourceFieldRef" in source:
        return _resource(container, source["resourceFieldRef"])
    path = source["fieldRef"]["fieldPath"]
    meta = pod["metadata"]
    if keyed := _KEYED.fullmatch(path):
        return str(meta.get(keyed["map"], {}).get(keyed["key"], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = meta.get(path.rpartition(".")[2], {})
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(entries.items()))
    here: Any = pod
    for step in path.split("."):
        here = here.get(step, {}) if isinstance(here, dict) else {}
    return here if isinstance(here, str) else ""


def quantity(text: str) -> Decimal:
    """A quantity of Kubernetes in its base unit.

    Raises:
        FailedError: it is none.
    """
    found = amount(text)
    if found is None:
        raise FailedError("bad-quantity", f"{text!r} is not a quantity")
    return found


def _variable(
    api: Api,
    pod: dict[str, Any],
    container: dict[str, Any],
    variable: dict[str, Any],
    before: dict[str, str],
) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        return expand(variable.get("value", ""), before)
    if "configMapKeyRef" in source:
        return _keyed(api, pod, "configmaps", source["configMapKeyRef"])
    if "secretKeyRef" in source:
        encoded = _keyed(api, pod, "secrets", source["secretKeyRef"])
        return None if encoded is None else base64.b64decode(encoded).decode()
    return field_value(pod, container, source)


def _keyed(api: Api, pod: dict[str, Any], resource: str, reference: dict[str, Any]) -> str | None:
    namespace = pod["metadata"]["namespace"]
    found = api.get(f"/api/v1/namespaces/{namespace}/{resource}/{reference['name']}") or {}
    value = (found.get("data") or {}).get(reference["key"])
    if value is None and not reference.get("optional"):
        name = f"{resource.removesuffix('s')} {reference['name']!r}"
        raise FailedError("key-missing", f"couldn't find key {reference['key']} in {name}")
    return value


def _resource(container: dict[str, Any], reference: dict[str, Any]) -> str:
    kind, _, name = reference["resource"].partition(".")
    resources = container.get("resources", {})
    given = resources.get(kind, {}).get(name)
    if given is None:
        given = _OF_THE_NODE.get(name, "0") if kind == "limits" else "0"
    divisor = quantity(str(reference.get("divisor") or "1")) or Decimal(1)
    return str((quantity(str(given)) / divisor).to_integral_value(ROUND_CEILING))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
