"""What the rules need to know of this host, asked of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.agent.capture.rules import Host
from meshctl.errors import ConfigError, FailedError, Where

if TYPE_CHECKING:
    from meshctl.agent.capture.options import Address, Network, Options, Owner
    from meshctl.agent.capture.tools import Tools

_SSH: Final = 22
_SSHD: Final = "/etc/ssh/sshd_config"
_SSH_SERVERS: Final = ("sshd", "dropbear")
_SSH_SOCKETS: Final = ("ssh.socket", "sshd.socket")
_LISTENS: Final = "0A"  # the state of a socket in /proc/net/tcp
_LOOPBACK: Final = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """A host, and what an operator should know of what is not captured there."""

    host: Host
    notes: tuple[str, ...]


def look(
    options: Options,
    tools: Tools,
    addresses: Sequence[tuple[int, Address]],
    environment: Mapping[str, str],
) -> Seen:
    """What the rules need to know.

    Args:
        options: what an operator wants.
        tools: by which the host is asked.
        addresses: the host's, each with the index of its interface.
        environment: of this process; an SSH session says in it where it is from.

    Raises:
        ConfigError: the host has no such user or group.
    """
    session = environment.get("SSH_CONNECTION", "").split()
    ipv6, notes = _ipv6(options, [address for index, address in addresses if index != _LOOPBACK])
    resolvers = options.dns_servers or _resolvers(tools) if options.dns else ()
    uid, gid = _user(options.user, "user")
    host = Host(
        uids=(uid,),
        gids=(gid,),
        users=_ids(options.users, "users"),
        users_exclude=_ids(options.users_exclude, "users_exclude") or (),
        groups=_ids(options.groups, "groups"),
        groups_exclude=_ids(options.groups_exclude, "groups_exclude") or (),
        resolvers=tuple(resolvers),
        ssh_ports=_ssh_ports(options, tools, session),
        # Only who this session is from: whoever merely has a connection to sshd has proved nothing.
        peers=tuple(dict.fromkeys((*options.peers, *_peer(session)))),
        ipv6=ipv6,
    )
    return Seen(host, (*notes, *_dns_notes(options, host, tools)))


def _ipv6(options: Options, addresses: Sequence[Address]) -> tuple[bool, list[str]]:
    """Whether IPv6 is captured, which only makes sense where Envoy listens on it."""
    mine = [each for each in addresses if not (each.is_loopback or each.is_link_local)]
    there = any(each.version == 6 for each in mine)
    first = options.address or next(iter(mine), None)
    wanted = there and (options.dual_stack or (first is not None and first.version == 6))
    if options.ipv6 != "auto":
        return options.ipv6 == "on", []
    if there and not wanted:
        return False, ["IPv6 is not captured: the mesh is not said to be of both families (ISTIO_DUAL_STACK)"]
    return wanted, []


def _dns_notes(options: Options, host: Host, tools: Tools) -> Iterator[str]:
    if not options.dns:
        return
    if not host.ipv6:
        for each in host.resolvers:
            if each.version == 6:
                yield f"questions to the resolver {each} are not captured, as IPv6 is not"
    for line in tools.read("/etc/nsswitch.conf").splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["hosts:"] and "resolve" in words:
            yield (
                "programs ask systemd-resolved without DNS (`resolve` in /etc/nsswitch.conf), "
                "and do not see the names of the mesh"
            )


def _resolvers(tools: Tools) -> tuple[Address, ...]:
    """The resolvers in resolv.conf; where it names none, that of this host. Source: resolv.conf(5)."""
    found = []
    for line in tools.read("/etc/resolv.conf").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and (address := _parsed(words[1])):
            found.append(address)
    return tuple(dict.fromkeys(found)) or (ip_address("127.0.0.1"),)


def _parsed(text: str) -> Address | None:
    """An address, without the interface that may be said after it."""
    try:
        return ip_address(text.split("%")[0])
    except ValueError:
        return None


def _ids(owners: Sequence[Owner] | None, name: str) -> tuple[int, ...] | None:
    if owners is None:
        return None
    if name.startswith("user"):
        return tuple(dict.fromkeys(_user(each, name)[0] for each in owners))
    return tuple(dict.fromkeys(_group(each, name) for each in owners))


def _user(owner: Owner, name: str) -> tuple[int, int]:
    """Numbers of a user and its group."""
    import pwd  # the host's, so not for whoever only reads settings

    if isinstance(owner, int):
        return owner, owner
    try:
        found = pwd.getpwnam(owner)
    except KeyError:
        raise _unknown("user", owner, name) from None
    return found.pw_uid, found.pw_gid


def _group(owner: Owner, name: str) -> int:
    import grp

    if isinstance(owner, int):
        return owner
    try:
        return grp.getgrnam(owner).gr_gid
    except KeyError:
        raise _unknown("group", owner, name) from None


def _unknown(kind: str, owner: str, name: str) -> ConfigError:
    where = Where("capture", path=name)
    hint = f"make the {kind}, or take it out of the settings"
    return ConfigError("capture-invalid", f"this host has no {kind} {owner!r}", where=where, hint=hint)


def _peer(session: Sequence[str]) -> tuple[Network, ...]:
    """From where the SSH session is that this process is part of."""
    address = _parsed(session[0]) if session else None
    return (ip_network(address),) if address else ()


def _ssh_ports(options: Options, tools: Tools, session: Sequence[str]) -> tuple[int, ...]:
    """Ports by which this host may be managed: rather one too many than a host that nobody can enter.

    Those where sshd listens, and those where it is told to, as it may only start again after us.
    """
    said = [*session[3:4], *_configured(tools)]
    listening = _listening(tools)
    if not listening and (program := tools.find("systemctl")):  # then systemd may listen in its place
        listens = _asked(tools, [program, "show", "--property=Listen", *_SSH_SOCKETS])
        said += [_last(line.split()[0]) for line in listens if "(Stream)" in line]
    ports = {int(text) for text in said if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536}
    return tuple(sorted({_SSH, *options.ssh_ports, *ports, *listening}))


def _configured(tools: Tools) -> list[str]:
    """The ports in sshd's configuration, under whatever condition they stand. Source: sshd_config(5)."""
    said = []
    for path in (_SSHD, *tools.listed(f"{_SSHD}.d/*.conf")):
        for line in tools.read(path).splitlines():
            words = line.replace("=", " ").replace('"', " ").split()
            if len(words) > 1 and words[0].lower() == "port":
                said.append(words[1])
            elif (
                len(words) > 1
                and words[0].lower() == "listenaddress"
                and re.search(r"\]:|^[^:]*:[^:]*$", words[1])
            ):
                said.append(_last(words[1]))
    return said


def _last(text: str) -> str:
    """The port at the end of `Listen=[::]:22`, or of `Listen=22`."""
    return text.rpartition(":")[2].rpartition("=")[2]


def _asked(tools: Tools, command: Sequence[str]) -> list[str]:
    """The lines that a program says; none where it fails, as others tell the same."""
    try:
        return tools.run(command).splitlines()
    except FailedError:
        return []


def _listening(tools: Tools) -> set[int]:
    """Ports where root's SSH servers listen; another user's program may have any name."""
    ports = {}
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in tools.read(name).splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTENS:
                ports[words[9]] = int(words[1].rpartition(":")[2], 16)
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        if tools.read(str(process / "comm")).strip() in _SSH_SERVERS:
            found |= {ports[inode] for inode in _sockets(process) if inode in ports}
    return found


def _sockets(process: Path) -> Iterator[str]:
    """Inodes of the sockets of a process of root's."""
    try:
        if process.stat().st_uid == 0:
            for each in (process / "fd").iterdir():
                kind, _, inode = str(each.readlink()).partition(":")
                if kind == "socket":
                    yield inode.strip("[]")
    except OSError:
        return  # it has ended, or is none of ours to look at
