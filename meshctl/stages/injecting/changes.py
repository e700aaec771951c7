"""Changes of plain data: carried over to data in another form, applied from a patch, and turned round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Patch = list[dict[str, Any]]
"""Operations of a JSON patch (RFC 6902)."""

_NOTHING = object()


def carried(own: Any, before: Any, after: Any) -> Any:
    """`own` with the changes from `before` to `after`, where `before` is another form of `own`.

    What did not change stays as it is in `own`: spelling, order, and parts that `before` does not have.
    """
    if before == after:
        return own
    if isinstance(own, dict) and isinstance(after, dict):
        was = before if isinstance(before, dict) else {}
        result = {
            key: carried(value, was.get(key, _NOTHING), after[key]) if key in after else value
            for key, value in own.items()
            if key in after or key not in was
        }
        return {**result, **{key: value for key, value in after.items() if key not in own}}
    if isinstance(own, list) and isinstance(before, list) and isinstance(after, list):
        return _carried_list(own, before, after)
    return after


def _carried_list(own: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    """Elements are known again by being equal, or else by their name."""
    unused = list(range(len(before)))
    places: dict[int, int] = {}
    for same in (lambda old, new: old == new, _is_namesake):
        for at, new in enumerate(after):
            found = next((old for old in unused if same(before[old], new)), None)
            if at not in places and found is not None:
                places[at] = found
                unused.remove(found)
    return [
        carried(own[places[at]], before[places[at]], new) if at in places else new
        for at, new in enumerate(after)
    ]


def _is_namesake(old: Any, new: Any) -> bool:
    return (
        isinstance(old, dict) and isinstance(new, dict) and "name" in new and old.get("name") == new["name"]
    )


def difference(before: Any, after: Any, path: str = "") -> Patch:
    """The JSON patch that makes `after` of `before`; a list of another length is replaced as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        steps = {key: f"{path}/{key.replace('~', '~0').replace('/', '~1')}" for key in [*before, *after]}
        gone = [{"op": "remove", "path": steps[key]} for key in sorted(before) if key not in after]
        new = [
            {"op": "add", "path": steps[key], "value": after[key]}
            for key in sorted(after)
            if key not in before
        ]
        changed = [
            each
            for key in sorted(before)
            if key in after
            for each in difference(before[key], after[key], steps[key])
        ]
        return [*gone, *changed, *new]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for at, (old, new) in pairs for each in difference(old, new, f"{path}/{at}")]
    is_same = type(before) is type(after) and before == after
    return [] if is_same else [{"op": "replace", "path": path, "value": after}]


def patched(data: Any, patch: Iterable[Mapping[str, Any]]) -> Any:
    """`data` with a JSON patch applied; the argument does not change.

    Raises:
        FailedError: an operation does not fit the data.
    """
    document = {"": _apart(data)}
    for operation in patch:
        try:
            _apply(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as fault:
            raise FailedError(
                "bad-patch",
                f"a JSON patch does not fit: {operation.get('op')} {operation.get('path')}",
                details=(str(fault),),
            ) from fault
    return document[""]


def _apart(data: Any) -> Any:
    """A copy in which nothing stands twice: what a YAML alias shares would change in both places."""
    if isinstance(data, dict):
        return {key: _apart(value) for key, value in data.items()}
    return [_apart(each) for each in data] if isinstance(data, list) else data


def _apply(document: dict[str, Any], operation: Mapping[str, Any]) -> None:
    path = _steps(operation["path"])
    match operation["op"]:
        case "add":
            _add(document, path, _apart(operation["value"]))
        case "remove":
            _take(document, path)
        case "replace":
            _take(document, path)
            _add(document, path, _apart(operation["value"]))
        case "move":
            _add(document, path, _take(document, _steps(operation["from"])))
        case "copy":
            _add(document, path, _apart(_at(document, _steps(operation["from"]))))
        case "test":
            if _at(document, path) != operation["value"]:
                raise ValueError("the value there is another one")
        case other:
            raise ValueError(f"unknown operation {other!r}")


def _steps(pointer: str) -> list[str]:
    """Steps of a JSON pointer (RFC 6901); the document itself is the empty first one."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")]


def _at(node: Any, path: list[str]) -> Any:
    for step in path:
        node = node[int(step)] if isinstance(node, list) else node[step]
    return node


def _take(document: Any, path: list[str]) -> Any:
    parent = _at(document, path[:-1])
    return parent.pop(int(path[-1]) if isinstance(parent, list) else path[-1])


def _add(document: Any, path: list[str], value: Any) -> None:
    parent, last = _at(document, path[:-1]), path[-1]
    if not isinstance(parent, list):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    else:
        parent.insert(int(last), value)
