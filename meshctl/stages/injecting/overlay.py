"""Kubernetes' strategic merge of what an injection template says into a pod.

Source: k8s.io/apimachinery pkg/util/strategicpatch, `StrategicMergeMapPatchUsingLookupPatchMeta`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.stages.injecting.pod_types import pod_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.fields import Field

_DIRECTIVE = "$patch"
_KEYS = "$retainKeys"


def overlaid(base: Mapping[str, Any], patch: Mapping[str, Any], kind: str = "Pod") -> dict[str, Any]:
    """`base` with a strategic merge patch applied; neither argument changes.

    What a list has from the patch comes before what only `base` has, unless both had them in another order.

    Raises:
        ConfigError: an element of a list has no key, or a directive is not known.
    """
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive is not None:
        raise _bad(f"{_DIRECTIVE}: {directive!r} is not known", "use replace or delete")
    kept = patch.get(_KEYS)
    result = {key: value for key, value in base.items() if kept is None or key in kept}
    known = pod_types()[kind].by_name if kind in pod_types() else {}
    for key, value in patch.items():
        if key == _KEYS:
            continue
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif key not in result or type(old) is not type(value):
            result[key] = _clean(value)
        elif isinstance(value, dict):
            field = known.get(key)
            result[key] = overlaid(old, value, field.kind if field else "")  # type: ignore[arg-type]
        elif isinstance(value, list):
            field = known.get(key)
            mergeable = field is not None and field.merge_key is not None
            result[key] = _list(old, value, field) if field and mergeable else value  # type: ignore[arg-type]
        else:
            result[key] = value
    return result


def _list(base: list[Any], patch: list[Any], field: Field) -> list[Any]:
    key = field.merge_key
    if not key:
        return list(dict.fromkeys([*patch, *base]))
    marked = [each for each in patch if isinstance(each, dict) and _DIRECTIVE in each]
    patch = [each for each in patch if each not in marked]
    if any(each[_DIRECTIVE] == "replace" for each in marked):
        return patch
    gone = [_identity(each, key, field) for each in marked]
    base = [each for each in base if each.get(key) not in gone]
    merged = list(base)
    for each in patch:
        name = _identity(each, key, field)
        at = next((at for at, old in enumerate(merged) if old.get(key) == name), None)
        if at is None:
            merged.append(_clean(each))
        else:
            merged[at] = overlaid(merged[at], each, field.kind)
    return _ordered(merged, [each[key] for each in patch], [each.get(key) for each in base], key)


def _ordered(merged: list[Any], patch: list[Any], base: list[Any], key: str) -> list[Any]:
    """The elements of a merged list; `patch` and `base` are the names that either side had, in its order."""
    fresh = sorted((each for each in merged if each[key] in patch), key=lambda each: patch.index(each[key]))
    others = [each for each in merged if each[key] not in patch]
    result: list[Any] = []
    while fresh and others:
        # Both were in the base and this is how they stood there; else the patch's goes first.
        in_base = fresh[0][key] in base
        first = others if in_base and base.index(others[0][key]) < base.index(fresh[0][key]) else fresh
        result.append(first.pop(0))
    return [*result, *fresh, *others]


def _identity(element: Any, key: str, field: Field) -> Any:
    if not isinstance(element, dict) or element.get(key) is None:
        raise _bad(f"an element of {field.name!r} has no {key!r}", f"give each of them a {key}")
    return element[key]


def _clean(value: Any) -> Any:
    """A value that only the patch has, without nulls and directives."""
    if isinstance(value, dict):
        return {
            key: _clean(each)
            for key, each in value.items()
            if each is not None and key not in (_DIRECTIVE, _KEYS)
        }
    if isinstance(value, list):
        return [_clean(each) for each in value if not (isinstance(each, dict) and _DIRECTIVE in each)]
    return value


def _bad(message: str, hint: str) -> ConfigError:
    return ConfigError(
        "bad-template", f"the injection template is no strategic merge patch: {message}", hint=hint
    )
