"""Settings of a component that are values as well: its image, its scale, its ports, its CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.values import merge, put

if TYPE_CHECKING:
    from meshctl.model.values import Tree


def asked_by_component(said: Tree, root: tuple[str, ...]) -> Tree:
    """Values that a component's own settings stand for, so that what depends on them follows.

    Args:
        said: the component among `components`.
        root: where its settings stand among the values.
    """
    k8s = said.get("k8s") or {}
    found: Tree = {key: said[key] for key in ("hub", "tag", "name") if said.get(key)}
    if said.get("label"):
        found["labels"] = said["label"]
    if (k8s.get("service") or {}).get("ports") and root[0] == "gateways":
        found["ports"] = k8s["service"]["ports"]
    scaling = k8s.get("hpaSpec") or {}
    wanted = {
        "autoscaleMin": scaling.get("minReplicas"),
        "autoscaleMax": scaling.get("maxReplicas"),
        "replicaCount": k8s.get("replicaCount"),
    }
    found |= {key: value for key, value in wanted.items() if value}
    for kind in ("limits", "requests"):
        cpu = ((k8s.get("resources") or {}).get(kind) or {}).get("cpu")
        if cpu:
            found = merge(found, put(("resources", kind, "cpu"), _cpus(cpu)))
    return put(root, found) if found else {}


def _cpus(amount: Any) -> str:
    """An amount of CPUs as Kubernetes writes it, in whole ones or thousandths."""
    text = str(amount)
    try:
        thousandths = float(text[:-1]) if text.endswith("m") else float(text) * 1000
    except ValueError:
        return text
    return f"{thousandths / 1000:g}" if thousandths % 1000 == 0 else f"{thousandths:g}m"
