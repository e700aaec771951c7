"""YAML as istiod reads it: where plain text stands for something else, Go's reader decides what.

Source: go.yaml.in/yaml/v2 resolve.go, which is behind sigs.k8s.io/yaml.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from meshctl.stages.settings.document import LOADER, whole

_TAG = "tag:yaml.org,2002:"
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_PATTERNS = (
    ("bool", r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"),
    ("null", r"~|null|Null|NULL|"),
    ("merge", r"<<"),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[1-9][0-9_]*|0)"),
    ("float", _FLOAT.pattern),
)
_TRUE = ("y", "yes", "true", "on")


def parsed(text: str) -> Any:
    """The data of a YAML document; of a key given twice, the last counts.

    Raises:
        ValueError: not YAML, or several documents.
    """
    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a safe loader with other words
    except yaml.YAMLError as fault:
        raise ValueError(f"not YAML: {' '.join(str(fault).split())}") from None


@cache
def _loader() -> Any:
    class Loader(LOADER):  # type: ignore[misc,valid-type]  # libyaml's, where it is there
        """A safe loader with Go's plain words."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way

    for kind, pattern in _PATTERNS:
        Loader.add_implicit_resolver(_TAG + kind, re.compile(rf"(?:{pattern})\Z"), None)
    Loader.add_constructor(_TAG + "bool", lambda _, node: node.value.lower() in _TRUE)
    Loader.add_constructor(_TAG + "int", lambda _, node: _integer(node.value))
    Loader.add_constructor(_TAG + "float", lambda _, node: _float(node.value))
    return Loader


def _integer(text: str) -> int:
    text = text.replace("_", "")
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if re.fullmatch(r"0o?[0-7]+", digits):
        return sign * int(digits.removeprefix("0o"), 8)
    return sign * int(digits, 0)


def _float(text: str) -> float | int:
    return whole(float(text.lower().replace(".inf", "inf").replace(".nan", "nan")))
