"""A plan as a file: what is shown today is what is sent tomorrow, or nothing is.

A plan file holds the steps as `plan` shows them and the release they make, with every object whole. It
does not hold what was seen, and it is not played back blindly: the present cluster is planned against
once more, and the file is applied when that gives the very same steps. So the question "has the cluster
moved on?" is answered by the one comparison that knows what matters. What istiod and Kubernetes change
all the time (status, CA bundles, a flipped failurePolicy, replicas under an autoscaler, and with them
every resourceVersion) makes no step, and outdates no plan; a leaf that somebody else has changed, an
object that came or went, a release in between does. The price is that planning has to be repeatable,
which `plan` promises anyway. Comparing resourceVersions instead would refuse nearly every plan of a
living mesh, and sending objects as they were written down would take back what istiod did since.

Tokens and keys are masked, as everywhere. To apply such a file takes the inputs it was made from; only
the masked leaves are taken from them, and a digest proves that they are the same. The file's own digest
tells a slip of an editor, not malice: who may write the file may write the digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ConflictError, Where
from meshctl.stages.comparing.secrets import masked
from meshctl.stages.planning.claims import last_writer
from meshctl.stages.planning.plan_data import plan_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Plan

FORMAT = 1
"""Version of the file's form; a reader refuses any other."""
_NOT_KEPT = ("inventory", "created", "status")
"""Of the release: what is there before it and when it begins are facts of the day it is applied."""
_MOST = 3

Path = tuple[str | int, ...]


def sealed(
    plan: Plan,
    release: Mapping[str, Any] | None,
    *,
    cluster_id: str,
    take_over: bool,
    adopt: bool,
    seconds: float,
) -> dict[str, Any]:
    """A plan with all that it takes to apply it later; the same plan gives the same data.

    Args:
        plan: what was decided.
        release: the release that the plan records, as JSON data; None where there is nothing to do.
        cluster_id: UID of the cluster's namespace `kube-system`.
        take_over: as the plan was made.
        adopt: as the plan was made.
        seconds: budget of each wait.
    """
    kept = None if release is None else _kept(release)
    hidden = masked("", kept)
    leaves = tuple(_masked_leaves(kept, hidden))
    file = {
        "format": FORMAT,
        "clusterID": cluster_id,
        "takeOver": take_over,
        "adopt": adopt,
        "seconds": seconds,
        "release": hidden,
        "masked": [list(path) for path in leaves],
        "maskedDigest": _digest_of_leaves(kept, leaves) if leaves else "",
    }
    data = json.loads(json.dumps({**plan_data(plan), "file": file}))
    return {**data, "digest": _digest(data)}


def opened(text: str, name: str) -> dict[str, Any]:
    """The data of a plan file, checked to be whole.

    Args:
        text: JSON or YAML.
        name: of the file, for messages.

    Raises:
        ConfigError: it is neither, is no plan, is of another format, or was edited.
    """
    data = _parsed(text, name)
    if not isinstance(data, dict) or not isinstance(data.get("file"), dict) or "phases" not in data:
        raise ConfigError(
            "no-plan-file",
            "this is not a plan",
            where=Where(name),
            hint="`meshctl plan -o json` writes one",
        )
    form = data["file"].get("format")
    if form != FORMAT:
        raise ConfigError(
            "plan-format",
            f"this plan has format {form!r}, and this meshctl knows {FORMAT}",
            where=Where(name, path="file.format"),
            hint="plan again with this version of meshctl",
        )
    rest = {key: value for key, value in data.items() if key != "digest"}
    if data.get("digest") != _digest(rest):
        raise ConfigError(
            "plan-edited",
            "this plan is not as it was written",
            where=Where(name, path="digest"),
            hint="a plan cannot be edited: change the settings, and plan again",
        )
    return data


def filled(data: Mapping[str, Any], full: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """The release of a plan file, with its masked leaves.

    Args:
        data: what `opened` gave.
        full: a release of the inputs that the plan was made from, as JSON data; None without any.
        name: of the file, for messages.

    Raises:
        ConfigError: leaves are masked and no inputs are given, or other ones.
    """
    file = data["file"]
    leaves = [tuple(path) for path in file["masked"]]
    release: dict[str, Any] = file["release"]
    if not leaves:
        return release
    places = _places(release, leaves)
    if full is None:
        raise ConfigError(
            "plan-needs-inputs",
            f"{len(places)} tokens or keys are left out of this plan",
            where=Where(name),
            hint="give the -f and --set that it was made with beside --plan",
            details=places,
        )
    release = json.loads(json.dumps(release))
    if not all(_take(release, _kept(full), path) for path in leaves) or (
        _digest_of_leaves(release, leaves) != file["maskedDigest"]
    ):
        raise ConfigError(
            "plan-inputs-differ",
            "these are not the inputs that this plan was made with",
            where=Where(name),
            hint="give the same -f and --set, or plan again",
            details=places,
        )
    return release


def require_same(
    data: Mapping[str, Any], now: Plan, live: Mapping[Ref, Object], *, continued: bool = False
) -> None:
    """Let nothing through but what the file shows.

    Args:
        data: what `opened` gave.
        now: the plan of the same release for the cluster as it is.
        live: the cluster's objects, to tell who has changed them.
        continued: whether the file was begun before: then steps may be done already.

    Raises:
        ConflictError: the steps are not the same; names each object, and who has changed it.
    """
    planned, present = _steps(data), _steps(plan_data(now))
    if planned == present:
        return
    if continued and all(step in planned for step in present):
        return
    refs = {str(ref): obj for ref, obj in live.items()}
    details = list(_moved(planned, present, refs))
    raise ConflictError(
        "plan-outdated",
        "the cluster has moved on since this plan was made; nothing was sent",
        hint="plan again, and look at what has changed",
        details=details or ["the order of the steps is another"],
    )


def _steps(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = [step for phase in data["phases"] for step in phase["steps"]]
    return json.loads(json.dumps(steps))  # type: ignore[no-any-return]  # as a file has them


def _moved(
    planned: Sequence[dict[str, Any]], present: Sequence[dict[str, Any]], live: Mapping[str, Object]
) -> Iterator[str]:
    """A line for each object whose steps are not as planned, then how many are done already."""
    before, now = _by_object(planned), _by_object(present)
    done = []
    for name in sorted({*before, *now}):
        then, today = before.get(name), now.get(name)
        if then == today:
            continue
        if then is not None and today is None and (name in live) == (then["do"] != "remove"):
            done.append(name)
        else:
            yield f"{name}: {_became(then, today, live.get(name))}"
    records = [[step["release"] for step in steps if "release" in step] for steps in (planned, present)]
    if records[0] != records[1] and all(records):
        yield f"it would make generation {records[1][-1]}, and was to make {records[0][-1]}"
    if done:
        more = f", and {len(done) - _MOST} more" if len(done) > _MOST else ""
        yield f"as planned already: {', '.join(done[:_MOST])}{more}"


def _became(then: Mapping[str, Any] | None, today: Mapping[str, Any] | None, live: Object | None) -> str:
    """What has become of an object, and who has written it last."""
    writer = None if live is None else last_writer(live)
    who = f"; last written by {writer.manager} at {writer.time or 'no known time'}" if writer else ""
    if live is None:
        return "it is not there any more"
    if today is None:
        return f"it is there{who}"
    if then is None:
        return f"{_leaves(today)}, which the plan does not know{who}"
    return f"now {_leaves(today)}; planned {_leaves(then)}{who}"


def _by_object(steps: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The step that changes each object."""
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        if step["do"] != "await" and "kind" in step:
            place = f"{step['namespace']}/{step['name']}" if step["namespace"] else step["name"]
            found[f"{step['kind']} {place}"] = step
    return found


def _leaves(step: Mapping[str, Any]) -> str:
    """What a step does, in a few words."""
    if not step.get("changes"):
        return f"to {step['do']}"
    told = [
        f"{each['path']} is {json.dumps(each['seen'])[:60]}{_by(each)}" for each in step["changes"][:_MOST]
    ]
    more = len(step["changes"]) - _MOST
    return "; ".join([*told, *([f"and {more} more"] if more > 0 else [])])


def _by(change: Mapping[str, Any]) -> str:
    return f" by {change['owner']}" if change["owner"] else ""


def _kept(release: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in release.items() if key not in _NOT_KEPT}


def _masked_leaves(full: Any, hidden: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(full, dict):
        for key in sorted(full):
            yield from _masked_leaves(full[key], hidden[key], (*path, key))
    elif isinstance(full, list | tuple):
        for index, (each, other) in enumerate(zip(full, hidden, strict=True)):
            yield from _masked_leaves(each, other, (*path, index))
    elif full != hidden:
        yield path


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _take(into: Any, source: Any, path: Path) -> bool:
    """Copy one leaf; whether there was one."""
    try:
        _at(into, path[:-1])[path[-1]] = _at(source, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _places(release: Mapping[str, Any], leaves: Sequence[Path]) -> tuple[str, ...]:
    """The masked leaves, as a person knows them."""
    return tuple(dict.fromkeys(_place(release, path) for path in leaves))


def _place(release: Mapping[str, Any], path: Path) -> str:
    if path[0] == "parts" and path[2:3] == ("objects",):
        content = _at(release, path[:4])
        meta = content["metadata"]
        name = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
        return f"{content['kind']} {name}: {_dotted(path[4:])}"
    if path[0] == "asked":
        return f"settings: {_dotted(path[4:])}"
    return f"settings: {_dotted(path[1:])}"


def _dotted(path: Path) -> str:
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f"{'.' if out else ''}{step}"
    return out


def _digest(data: Any) -> str:
    return f"sha256:{hashlib.sha256(_canonical(data)).hexdigest()}"


def _digest_of_leaves(release: Any, leaves: Sequence[Path]) -> str:
    """A digest from which a short password is dear to guess; the salt is what is told anyway."""
    told = _canonical([list(path) for path in leaves])
    secret = _canonical([_at(release, path) for path in leaves])
    return f"scrypt:{hashlib.scrypt(secret, salt=told, n=2**14, r=8, p=1).hex()}"


def _canonical(data: Any) -> bytes:
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _plain(data: Any) -> Any:
    """Whole figures without a fraction: YAML and other programs write 300.0 as 300."""
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(each) for each in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as fault:
        if text.lstrip().startswith(("{", "[")):
            line = getattr(fault, "lineno", None)
            raise _unreadable(name, line, f"this is not JSON: {getattr(fault, 'msg', fault)}") from fault
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise _unreadable(name, line, "this is neither JSON nor YAML") from fault


def _unreadable(name: str, line: int | None, problem: str) -> ConfigError:
    hint = "give the whole output of `meshctl plan -o json`"
    return ConfigError("bad-plan-file", problem, where=Where(name, line), hint=hint)
