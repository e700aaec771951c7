"""What makes one Debian tree into a host of its own: names, keys, the user `admin`; and how to reach it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshctl.sandbox.kubeconfig import write_secret
from meshctl.sandbox.names import HostLayout, Layout
from meshctl.sandbox.process import run

USER: Final = "admin"
"""The user to log in as: not root, but with `sudo` for everything."""


@dataclass(frozen=True, slots=True)
class SshFiles:
    """Paths of what a client needs to log in to the hosts of one sandbox."""

    state: Path

    @property
    def key(self) -> Path:
        """Private key, made for this sandbox and readable by its owner only."""
        return self.state / "ssh" / "id_ed25519"

    @property
    def public_key(self) -> Path:
        """Its public half."""
        return self.state / "ssh" / "id_ed25519.pub"

    @property
    def known_hosts(self) -> Path:
        """The hosts' own keys, so that a client checks whom it talks to."""
        return self.state / "ssh" / "known_hosts"

    @property
    def config(self) -> Path:
        """For `ssh -F`, with an entry for each host."""
        return self.state / "ssh_config"


def make_client_key(root: Path, files: SshFiles, comment: str) -> None:
    """Make the key pair that the hosts let in, with the ssh-keygen of the tree `root`.

    The machine itself need not have OpenSSH.
    """
    scratch = f"/run/{secrets.token_hex(8)}"
    _keygen(root, scratch, comment)
    inside = root / scratch.lstrip("/")
    write_secret(files.key, inside.read_bytes())
    write_secret(files.public_key, inside.with_suffix(".pub").read_bytes())
    inside.unlink()
    inside.with_suffix(".pub").unlink()


def personalise(root: Path, host: HostLayout, hosts: Iterable[HostLayout], authorized: str) -> str:
    """Make the writable tree `root` into `host`.

    Args:
        root: the host's own file system, not booted yet.
        host: which host it is to be.
        hosts: all hosts, which know each other by name.
        authorized: public key that may log in as `admin`.

    Returns:
        The host's public key, as one line.
    """
    etc = root / "etc"
    (etc / "hostname").write_text(f"{host.name}\n")
    # systemd takes a machine without one for a first boot, and two with the same one for one machine.
    (etc / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
    (etc / "hosts").write_text(_hosts_file(host, hosts))
    # Nobody answers there, and says so at once, which is quicker than an address that stays silent.
    _replace(etc / "resolv.conf", f"nameserver {host.gateway}\noptions timeout:1 attempts:1\n")
    _make_user(root, authorized)
    for inherited in (etc / "ssh").glob("ssh_host_*"):
        inherited.unlink()
    _keygen(root, "/etc/ssh/ssh_host_ed25519_key", host.name)
    return (etc / "ssh" / "ssh_host_ed25519_key.pub").read_text().strip()


def write_client_files(layout: Layout, keys: dict[HostLayout, str]) -> None:
    """Write `known_hosts` and `ssh_config` for hosts with these public keys."""
    files = SshFiles(layout.state)
    write_secret(files.known_hosts, known_hosts(keys).encode())
    write_secret(files.config, ssh_config(files, keys).encode())


def known_hosts(keys: dict[HostLayout, str]) -> str:
    """Each host's key under its name and its address. Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    lines = [f"{host.name},{host.address} {' '.join(key.split()[:2])}\n" for host, key in keys.items()]
    return "".join(sorted(lines))


def ssh_config(files: SshFiles, hosts: Iterable[HostLayout]) -> str:
    """What `ssh -F FILE vm1` needs to know. Source: ssh_config(5)."""
    common = [
        f"User {USER}",
        f'IdentityFile "{files.key}"',
        "IdentitiesOnly yes",
        f'UserKnownHostsFile "{files.known_hosts}"',
        "StrictHostKeyChecking yes",
    ]
    blocks = [
        "\n    ".join([f"Host {host.name}", f"HostName {host.address}", *common])
        for host in sorted(hosts, key=lambda one: one.number)
    ]
    return "\n\n".join(blocks) + "\n"


def _hosts_file(host: HostLayout, hosts: Iterable[HostLayout]) -> str:
    others = [f"{one.address} {one.name}" for one in hosts if one.number != host.number]
    return "\n".join(["127.0.0.1 localhost", f"{host.address} {host.name}", *others]) + "\n"


def _make_user(root: Path, authorized: str) -> None:
    run(["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", USER])
    # A locked account would be refused by sshd; a star is no password's hash, so none fits.
    run(["chroot", str(root), "usermod", "--password", "*", USER])
    rule = root / "etc" / "sudoers.d" / USER
    rule.write_text(f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    ssh = root / "home" / USER / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_text(f"{authorized.strip()}\n")
    (ssh / "authorized_keys").chmod(0o600)
    owner = (root / "home" / USER).stat()
    for path in (ssh, ssh / "authorized_keys"):
        shutil.chown(path, owner.st_uid, owner.st_gid)


def _keygen(root: Path, path: str, comment: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]
    run(["chroot", str(root), *command])


def _replace(path: Path, text: str) -> None:
    """Write a file that may be a link into a place that is only there once the host runs."""
    path.unlink(missing_ok=True)
    path.write_text(text)
