"""The command line, and only here: parse, call one action, hand what comes back to the reporter."""

from __future__ import annotations

import gc
import os
import sys

from meshctl.cli.app import run
from meshctl.cli.lazy import LazyGroup

COMMANDS = {
    "Life cycle": {
        "install": ("meshctl.cli.install:install", "Install the mesh, or bring it in line."),
        "plan": ("meshctl.cli.install:plan", "Show what install would change; send nothing."),
        "observe": ("meshctl.cli.observe:observe", "Record clusters, to plan where they are not reached."),
        "upgrade": ("meshctl.cli.upgrade:upgrade", "Bring the mesh to another version of Istio."),
        "rollback": ("meshctl.cli.rollback:rollback", "Go back to an earlier release."),
        "uninstall": ("meshctl.cli.uninstall:uninstall", "Remove the mesh, and prove that nothing is left."),
        "backup": ("meshctl.cli.backup:backup", "Save what you made for the mesh to a file."),
        "restore": ("meshctl.cli.backup:restore", "Put back what a backup or an uninstall has saved."),
        "status": ("meshctl.cli.status:status", "What is installed, ready and about to expire."),
        "history": ("meshctl.cli.status:history", "Every generation that was installed here."),
        "tag": ("meshctl.cli.groups:tag", "Names by which namespaces choose a revision."),
        "check": ("meshctl.cli.check:check", "Named checks of the cluster and the mesh."),
        "cluster": ("meshctl.cli.groups:cluster", "The clusters of a mesh, and the links between them."),
        "remote-secret": (
            "meshctl.cli.groups:remote_secret",
            "The Secrets by which istiods read other clusters.",
        ),
        "ca": ("meshctl.cli.groups:ca", "What vouches for identities: roots, authorities, rotation."),
        "vm": ("meshctl.cli.groups:vm", "Hosts outside Kubernetes, as workloads of the mesh."),
    },
    "Render": {
        "manifest": ("meshctl.cli.groups:manifest", "Render Kubernetes objects without a cluster."),
        "profile": ("meshctl.cli.groups:profile", "The profiles that installs start from."),
        "images": (
            "meshctl.cli.groups:images",
            "The images that a mesh runs, and how to carry them offline.",
        ),
        "values": (
            "meshctl.cli.values:values",
            "The settings an install would use, and where each is from.",
        ),
        "inject": ("meshctl.cli.inject:inject", "Add sidecars to workloads in files."),
        "uninject": ("meshctl.cli.inject:uninject", "Take sidecars out of workloads in files."),
        "rbac": ("meshctl.cli.groups:rbac", "The least roles that a command needs."),
    },
    "Debug": {
        "proxy-status": ("meshctl.cli.status:proxy_status", "What every proxy has acknowledged (alias: ps)."),
        "validate": ("meshctl.cli.validate:validate", "Check Istio's objects in files, without a cluster."),
        "analyze": ("meshctl.cli.validate:analyze", "Find what will not work as it is meant, in files."),
        "version": ("meshctl.cli.version:version", "This program's version, and the mesh's."),
        "completion": ("meshctl.cli.version:completion", "Shell completion script."),
    },
    "Try": {
        "sandbox": ("meshctl.cli.sandbox:sandbox", "Real Kubernetes clusters and hosts on this machine."),
    },
}

ALIASES = {"ps": "proxy-status", "apply": "install"}

cli = LazyGroup(
    "meshctl",
    COMMANDS,
    ALIASES,
    help="""Install, upgrade and remove Istio, and see what every proxy was told.

    \b
    Begin here, with nothing but this machine:
      meshctl sandbox up           a real Kubernetes to play with
      meshctl check --pre          would an install work?
      meshctl install              Istio, default profile
      meshctl proxy-status         every proxy, in sync or why not
      meshctl uninstall --purge    and nothing is left
    """,
)


def main() -> None:
    """Entry point of the `meshctl` command."""
    # Objects of clusters are plain data that lives to the end: by default half the time of a plan is looking
    # through them for what could be freed.
    gc.set_threshold(50_000, 20, 20)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what failed is told by the command, once and in words
    sys.exit(run(cli))
