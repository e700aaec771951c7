"""The files of an enrolment, as a host has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.enrolment import Enrolment

ENVIRONMENT, PROXY, ROOTS = "cluster.env", "proxy.json", "root-cert.pem"


def files(enrolment: Enrolment) -> dict[str, str]:
    """Texts of the files under /etc/meshctl-agent, by name; the token is none of them."""
    proxy = {"proxyConfig": enrolment.proxy, **({"agent": enrolment.agent} if enrolment.agent else {})}
    return {
        ENVIRONMENT: shell(enrolment.environment),
        PROXY: json.dumps(proxy, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        ROOTS: enrolment.roots.strip() + "\n",
    }


def shell(variables: Mapping[str, str]) -> str:
    """Variables as a shell reads them, a line each, sorted; every value stands in single quotes."""
    lines = [f"{name}={_quoted(value)}\n" for name, value in variables.items()]
    return "".join(sorted(lines))


def _quoted(value: str) -> str:
    escaped = value.replace("'", "'\"'\"'")
    return f"'{escaped}'"
