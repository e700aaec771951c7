"""The keys and certificates of one cluster, and the kubeconfigs that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from meshctl.pki import Pair, Subject, new_authority, new_key, public_key
from meshctl.sandbox import kubeconfig
from meshctl.sandbox.kubeconfig import Access, write_secret

SANDBOX_USER = "meshctl-sandbox"
"""Who the sandbox itself is to its API servers; the user of the sandbox is another, so that the two can
be told apart in the audit log."""

_ADMIN = Subject("meshctl-sandbox-admin", ("system:masters",))
_SELF = Subject(SANDBOX_USER, ("system:masters",))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of one cluster's files in its `pki` folder.

    Each component has a kubeconfig of its own, with the user and groups that Kubernetes' own roles
    expect.
    """

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """The authority's key, for the controller that signs what the API is asked to sign."""
        return self.folder / "ca.key"

    def certificate(self, name: str) -> Path:
        """Certificate of `name`: apiserver, kubelet, or a user such as admin."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Key of `name`."""
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """Kubeconfig of the user `name`."""
        return self.folder / f"{name}.conf"

    @property
    def service_accounts(self) -> Path:
        """Key that signs the tokens of service accounts."""
        return self.folder / "sa.key"

    @property
    def service_accounts_public(self) -> Path:
        """Public half of that key."""
        return self.folder / "sa.pub"


def make(
    folder: Path, context: str, server: str, *, api: Subject, kubelet: Subject, users: dict[str, Subject]
) -> Access:
    """Make all of a cluster's keys and certificates in `folder`.

    Args:
        folder: where they go, mode 0600 each.
        context: name of the cluster.
        server: URL of the API server.
        api: names and addresses of the API server.
        kubelet: the node: its user name, group, names and addresses.
        users: the other components, by the name of their files.

    Returns:
        The administrator's access.
    """
    now = datetime.now(UTC)  # noqa: TID251 - a certificate begins when it is made
    root = new_authority(Subject(f"{context} authority"), now)
    files = Certificates(folder)
    write_secret(files.authority, root.pair.certificate)
    write_secret(files.authority_key, root.pair.key)
    accounts = new_key()
    write_secret(files.service_accounts, accounts)
    write_secret(files.service_accounts_public, public_key(accounts))
    _write_pair(files, "apiserver", root.issue(api, now))
    subjects = {"admin": _ADMIN, "kubelet": kubelet, "sandbox": _SELF, **users}
    accesses = {
        name: Access(context, server, root.pair.certificate, root.issue(subject, now))
        for name, subject in subjects.items()
    }
    for name, access in accesses.items():
        _write_user(files, name, access)
    return accesses["admin"]


def component_users(names: Sequence[str]) -> dict[str, Subject]:
    """Subjects of components that Kubernetes knows by the user `system:NAME`."""
    return {name: Subject(f"system:{name}") for name in names}


def node_subject(node: str, addresses: Sequence[str]) -> Subject:
    """The subject of the kubelet of `node`, which also serves under that name."""
    return Subject(f"system:node:{node}", ("system:nodes",), dns=(node,), addresses=tuple(addresses))


def _write_user(files: Certificates, name: str, access: Access) -> None:
    _write_pair(files, name, access.client)
    kubeconfig.write(files.kubeconfig(name), [access])


def _write_pair(files: Certificates, name: str, pair: Pair) -> None:
    write_secret(files.certificate(name), pair.certificate)
    write_secret(files.key(name), pair.key)
