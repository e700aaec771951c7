"""Bringing a sandbox up and down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from meshctl.errors import ConflictError, MeshctlError, Where
from meshctl.model.event import Changed, Done, Event, Skipped, Started, Unchanged, Warned
from meshctl.sandbox import build, cache, cgroups, debian, hosts, images, network, preflight, rootfs
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.clusters import start_clusters
from meshctl.sandbox.inspection import is_healthy
from meshctl.sandbox.ledger import Begun, ControlGroup, Ledger, Ready
from meshctl.sandbox.names import Layout
from meshctl.sandbox.paths import cache_root, state_root
from meshctl.sandbox.process import clock
from meshctl.sandbox.settings import Settings, check_name
from meshctl.sandbox.undo import undo
from meshctl.sandbox.waiting import together

GROUP = "sandbox"


def up(settings: Settings) -> Iterator[Event]:
    """Bring the sandbox up; nothing happens when it is up already.

    What an interrupted run left is removed first. When something fails, all that was made is removed
    again, and the logs are kept in the cache.

    Raises:
        MeshctlError: of the kind that says who has to act: the machine cannot, the disk is full, a
            name is taken, another sandbox of that name runs with other settings, a component did
            not come up.
    """
    preflight.check_machine()
    yield from cache.locked(_lock(settings.name), GROUP, _up(settings))


def down(name: str = "sandbox") -> Iterator[Event]:
    """Remove everything the sandbox made; fine if there is none, or half of one.

    Raises:
        ConfigError: the name cannot be one.
        FailedError: a process, mount, namespace, link or control group would not go.
    """
    check_name(name)
    yield from cache.locked(_lock(name), GROUP, _down(name))


def _lock(name: str) -> Path:
    return cache_root() / f"sandbox-{name}.lock"


def _down(name: str) -> Iterator[Event]:
    ledger = Ledger.of(state_root() / name)
    if not ledger.path.exists():
        yield Skipped(GROUP, name, "there is no such sandbox")
        return
    begun = clock()
    yield from undo(ledger)
    yield Done(GROUP, f"{name} is gone", clock() - begun)


def _up(settings: Settings) -> Iterator[Event]:
    state = state_root() / settings.name
    ledger = Ledger.of(state)
    earlier = ledger.begun()
    if earlier is not None and is_healthy(ledger):
        _check_same(settings, earlier)
        yield Unchanged(GROUP, f"{settings.name} is running")
        return
    if ledger.path.exists():
        yield Warned(GROUP, settings.name, "interrupted earlier, or a process has ended: cleaning up first")
        yield from undo(ledger)
    started = clock()
    reason = preflight.why_not_full() if settings.light is not True else ""
    light = preflight.is_light(settings, reason)
    if light:
        yield Warned(GROUP, "light mode", f"{reason or 'as asked'}: real API servers, simulated nodes")
    try:
        yield from _make(ledger, settings, light=light)
    except BaseException as error:
        kept = _keep_logs(state, settings.name)
        if isinstance(error, MeshctlError) and not error.hint and kept is not None:
            error.hint = f"read the logs in {kept}"
        for _ in undo(ledger):
            pass
        raise
    yield Done(GROUP, f"{settings.name} is up", clock() - started)


def _check_same(settings: Settings, earlier: Begun) -> None:
    """Refuse to pass a running sandbox off for one with other settings; a part of it is fine."""
    running = Settings.from_json(earlier.settings)
    wanted = {
        "--clusters": (settings.clusters <= running.clusters, running.clusters),
        "--hosts": (settings.hosts <= running.hosts, running.hosts),
        "--network": (settings.network == running.network, running.network),
        "--light": (settings.light in (None, earlier.light), earlier.light),
        "--istio-version": (set(settings.istio) <= set(running.istio), " ".join(running.istio)),
    }
    for flag, (same, value) in wanted.items():
        if not same:
            raise ConflictError(
                "sandbox-differs",
                f"sandbox {settings.name!r} is running with {flag} {value}",
                where=Where(flag),
                hint=f"run `meshctl sandbox down --name {settings.name}` first, or give another --name",
            )


def _make(ledger: Ledger, settings: Settings, *, light: bool) -> Iterator[Event]:
    state = ledger.path.parent
    cold = not cache_root().joinpath("bin").is_dir()
    preflight.check_disk(settings, (cache_root(), state), cold=cold, light=light)
    preflight.check_watches(settings, light=light)
    if not light:
        preflight.check_names(Layout(settings.name, 0, state), settings)
        yield from debian.install()
    yield from _prepare(settings, light=light)
    binaries = build.binaries(settings.istio, light=light)
    if light:
        yield from _make_light(ledger, settings, binaries)
    else:
        yield from _make_full(ledger, settings, binaries)
    ledger.record(Ready())


def _prepare(settings: Settings, *, light: bool) -> Iterator[Event]:
    """Fill the cache: programs and root file systems at the same time, one computes, one downloads."""
    trees = ([] if light else [rootfs.POD]) + ([rootfs.HOST] if settings.hosts else [])
    yield from together([build.build(settings.istio, light=light), rootfs.make(*trees)])


def _make_light(ledger: Ledger, settings: Settings, binaries: Binaries) -> Iterator[Event]:
    from meshctl.sandbox import light  # only wanted there, with all that it imports

    ledger.record(Begun(settings.to_json(), 0, light=True))
    yield from light.up(ledger, Layout(settings.name, 0, ledger.path.parent), settings, binaries)


def _make_full(ledger: Ledger, settings: Settings, binaries: Binaries) -> Iterator[Event]:
    layout = _claim(ledger, settings)
    yield Started(GROUP, f"network {layout.network} on {layout.bridge}")
    ledger.record(ControlGroup(layout.cgroup))
    cgroups.make(layout.cgroup)
    yield Changed(GROUP, f"network {layout.network}", f"on {layout.bridge}")
    yield from images.make(ledger, binaries)
    parts = [start_clusters(ledger, layout, settings, binaries)]
    if settings.hosts:
        parts.append(hosts.up(ledger, layout, settings, rootfs.HOST.path))
    yield from together(parts)


def _claim(ledger: Ledger, settings: Settings) -> Layout:
    """Choose a free slot and make its bridge, so that it is taken."""
    state = ledger.path.parent
    with network.slots_locked():
        layout = Layout(settings.name, network.free_slot(settings.name, state), state)
        ledger.record(Begun(settings.to_json(), layout.slot, light=False))
        network.make_bridge(ledger, layout)
    return layout


def _keep_logs(state: Path, name: str) -> Path | None:
    """Keep the logs of a run that failed, before everything else of it goes; where, if it had any."""
    kept = cache_root() / "logs" / name
    shutil.rmtree(kept, ignore_errors=True)
    for folder in sorted(state.glob("*/logs")):
        shutil.copytree(folder, kept / folder.parent.name, dirs_exist_ok=True)
    return kept if kept.is_dir() else None
