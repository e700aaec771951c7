"""A cluster that can be looked at and not changed: what its other methods say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from meshctl.errors import ConfigError
from meshctl.ports import MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from meshctl.model.objects import Object, Ref
    from meshctl.ports import Watch


class ReadOnly:
    """The methods of `ports.Cluster` that change a cluster, or need it to live."""

    name: str

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        """A dry run finds nothing to object to, as there is no API server to judge; else refused."""
        return obj if dry_run else self._refuse(f"change {obj.ref}")

    def patch(self, ref: Ref, patch: Mapping[str, Any]) -> Object | None:
        """Refused."""
        self._refuse(f"change {ref}")

    def create(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Refused, unless it is a dry run."""
        return obj if dry_run else self._refuse(f"create {obj.ref}")

    def replace(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Refused, unless it is a dry run."""
        return obj if dry_run else self._refuse(f"change {obj.ref}")

    def delete(self, ref: Ref, *, foreground: bool = False, grace: int | None = None) -> bool:
        """Refused."""
        self._refuse(f"remove {ref}")

    def evict(self, ref: Ref, *, uid: str = "") -> bool:
        """Refused."""
        self._refuse(f"evict {ref}")

    def watch(
        self, api_version: str, kind: str, *, namespace: str = "", name: str = "", seconds: float = 300.0
    ) -> Watch:
        """Refused."""
        self._refuse(f"watch {kind}")

    def token(
        self,
        namespace: str,
        account: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int,
        bound: Object | None = None,
    ) -> str:
        """Refused."""
        self._refuse(f"make a token of {namespace}/{account}")

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 20) -> str:
        """Refused."""
        self._refuse(f"read the log of {namespace}/{pod}")

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """Refused."""
        self._refuse(f"reach {namespace}/{pod}")

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigError(
            "cluster-not-reached",
            f"cannot {what} of cluster {self.name!r}, which is only known by an observation",
            hint="run the command without --observations, where the cluster is reached",
        )
