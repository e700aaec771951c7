"""A rotation as people read it, and as programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl import pki
from meshctl.cli.report import pairs
from meshctl.errors import listed
from meshctl.model.rotation import Renewal, Scope
from meshctl.stages.rotating.judging import behind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.actions.rotation.preparing import Prepared
    from meshctl.actions.rotation.rotate import Summary
    from meshctl.model.rotation import Rotation, Witness

_SHORT = 16  # letters of a SHA-256 that tell one root of a mesh from another
_SHOWN = 20  # proxies that are named one by one


def position(rotation: Rotation) -> str:
    """What a rotation is at, in a line."""
    back = ", on its way back" if rotation.is_back else ""
    return f"{_way(rotation)}: {rotation.stage}{back}"


def preview_text(planned: Prepared) -> str:
    """What a rotation would do, before it is agreed to."""
    rotation = planned.rotation
    facts = {
        "rotation": _way(rotation),
        "clusters": listed(seat.cluster for seat in rotation.seats),
        "proxies": f"{len(planned.witnesses)}, of which {_renewing(planned)}",
    }
    lines = [pairs(facts)]
    if planned.restarted:
        lines.append("made anew:")
        lines += [f"   {cluster}: {ref}" for cluster, ref in planned.restarted]
    if planned.unseen and not rotation.lenient:
        lines.append(
            "cannot be asked, so that nothing is proven before they can; --allow-unseen goes on without:"
        )
        lines += _named(f"{each.name}: {each.unseen}" for each in planned.unseen)
    return "\n".join(lines)


def _renewing(planned: Prepared) -> str:
    deaf, renewal = len(planned.deaf), planned.rotation.renewal
    seen = len(planned.witnesses) - len(planned.unseen)
    match renewal:
        case Renewal.RESTART:
            return f"{seen} are made anew"
        case Renewal.WAIT:
            return f"{deaf} renew in their time, and the run stops until then"
        case Renewal.AUTO:
            return f"{deaf} are made anew, as istiod cannot tell them" if deaf else "none has to be made anew"


def preview_data(planned: Prepared) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    return {
        **_rotation(planned.rotation),
        "proxies": [_witness(each) for each in planned.witnesses],
        "restarts": [{"cluster": cluster, "workload": str(ref)} for cluster, ref in planned.restarted],
    }


def status_text(rotation: Rotation | None, seen: Sequence[Witness]) -> str:
    """Where a rotation stands; a line where there is none."""
    if rotation is None:
        return "no rotation is under way"
    late = [each for each in seen if each.unseen or behind(rotation, each)]
    facts = {
        "rotation": _way(rotation),
        "begun": rotation.created,
        "stage": str(rotation.stage) + (", on its way back" if rotation.is_back else ""),
        "clusters": listed(seat.cluster for seat in rotation.seats),
        "proxies": f"{len(seen) - len(late)} of {len(seen)} are where this stage wants them",
        "stopped": rotation.reason or "no: it is at work, or was cut short",
    }
    return "\n".join(
        [pairs(facts), *_named(f"{each.name}: {each.unseen or behind(rotation, each)}" for each in late)]
    )


def status_data(rotation: Rotation | None, seen: Iterable[Witness]) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    if rotation is None:
        return {"underWay": False}
    return {
        "underWay": True,
        **_rotation(rotation),
        "created": rotation.created,
        "stage": str(rotation.stage),
        "back": rotation.is_back,
        "reason": rotation.reason,
        "proxies": [{**_witness(each), "behind": each.unseen or behind(rotation, each)} for each in seen],
    }


def summary_text(summary: Summary) -> str:
    """How it ended."""
    rotation, took = summary.rotation, _took(summary.seconds)
    names = listed(seat.cluster for seat in rotation.seats)
    if rotation.is_back:
        return f"{names}: the old authorities sign again, after {took}"
    return f"{names}: {_way(rotation)} in {took}; every istiod and proxy has shown it"


def summary_data(summary: Summary) -> dict[str, Any]:
    """The same for a program; described in docs/reference/json.md."""
    rotation = summary.rotation
    return {**_rotation(rotation), "aborted": rotation.is_back, "seconds": round(summary.seconds, 1)}


def _way(rotation: Rotation) -> str:
    if rotation.scope is Scope.INTERMEDIATE:
        return "new intermediates under the roots that sign"
    return f"root {listed(each[:_SHORT] for each in rotation.leaving)} → {rotation.signer[:_SHORT]}"


def _rotation(rotation: Rotation) -> dict[str, Any]:
    return {
        "scope": str(rotation.scope),
        "signer": rotation.signer,
        "leaving": list(rotation.leaving),
        "renewal": str(rotation.renewal),
        "clusters": [seat.cluster for seat in rotation.seats],
        "roots": [
            {"sha256": each.fingerprint, "subject": _subject(each.certificate)} for each in rotation.roots
        ],
    }


def _subject(certificate: str) -> str:
    return pki.facts(certificate.encode()).subject


def _witness(witness: Witness) -> dict[str, Any]:
    return {
        "cluster": witness.cluster,
        "namespace": witness.namespace,
        "pod": witness.pod,
        "workload": str(witness.workload),
        "issuer": witness.issuer,
        "trusts": sorted(witness.trusts),
        "expires": witness.expires.isoformat(timespec="seconds") if witness.expires else None,
        "live": witness.hears,
        "unseen": witness.unseen,
    }


def _named(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = [f"   and {len(every) - _SHOWN} more"] if len(every) > _SHOWN else []
    return [*(f"   ! {each}" for each in every[:_SHOWN]), *more]


def _took(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
