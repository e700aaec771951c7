"""The volumes of a pod that runs as a process, as plain files below the folder that is its root.

Istio's programs look for their files relative to their working folder (`./etc/istio/config`), which
is what lets them run without a mount namespace of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshctl.errors import FailedError
from meshctl.sandbox.api import Api
from meshctl.sandbox.kubeconfig import write_secret
from meshctl.sandbox.light_fields import field_value
from meshctl.sandbox.process import clock

_DEFAULT_SECONDS = 3600


@dataclass(slots=True)
class Volumes:
    """The files of one container.

    Attributes:
        api: where ConfigMaps, Secrets and tokens come from.
        pod: the pod's manifest, with its name, namespace, UID and service account.
        container: the container whose mounts they are.
        root: folder that is the container's root.
    """

    api: Api
    pod: dict[str, Any]
    container: dict[str, Any]
    root: Path
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict)

    def write(self) -> None:
        """Write all files anew where they changed, and take away those that are no more.

        Raises:
            FailedError: a ConfigMap or Secret that must be there is not; or the API server refused.
        """
        known = {one["name"]: one for one in self.pod["spec"].get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            place = self.root / mount["mountPath"].lstrip("/")
            files = self._files(known[mount["name"]])
            if files is None:
                place.mkdir(parents=True, exist_ok=True)
            elif "subPath" in mount:
                _write(place, files.get(mount["subPath"], b""))
            else:
                _write_folder(place, files)

    def _files(self, volume: dict[str, Any]) -> dict[str, bytes] | None:
        """Content by relative path; None for a volume that begins empty."""
        if "projected" in volume:
            parts = [self._source(one) for one in volume["projected"].get("sources", [])]
            return {path: content for part in parts for path, content in part.items()}
        if not {"configMap", "secret", "downwardAPI"} & volume.keys():
            return None
        return self._source(volume)

    def _source(self, source: dict[str, Any]) -> dict[str, bytes]:
        if "configMap" in source:
            return self._config_map(source["configMap"])
        if "secret" in source:
            return self._secret(source["secret"])
        if "downwardAPI" in source:
            return dict(self._downward(source["downwardAPI"].get("items", [])))
        if "serviceAccountToken" in source:
            asked = source["serviceAccountToken"]
            return {asked["path"]: self._token(asked).encode()}
        return {}

    def _config_map(self, source: dict[str, Any]) -> dict[str, bytes]:
        found = self._get("configmaps", source["name"], source)
        content = {key: text.encode() for key, text in (found.get("data") or {}).items()}
        content |= {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}
        return _chosen(content, source)

    def _secret(self, source: dict[str, Any]) -> dict[str, bytes]:
        name = source.get("secretName") or source["name"]  # a projected source calls it `name`
        found = self._get("secrets", name, source)
        content = {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
        return _chosen(content, source)

    def _get(self, resource: str, name: str, source: dict[str, Any]) -> dict[str, Any]:
        namespace = self.pod["metadata"]["namespace"]
        found = self.api.get(f"/api/v1/namespaces/{namespace}/{resource}/{name}")
        if found is None and not source.get("optional"):
            kind = resource.removesuffix("s")
            raise FailedError("volume-missing", f'MountVolume.SetUp failed: {kind} "{name}" not found')
        return found or {}

    def _downward(self, items: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
        for item in items:
            yield item["path"], field_value(self.pod, self.container, item).encode()

    def _token(self, asked: dict[str, Any]) -> str:
        """A token of the pod's service account; the same one until half its life is over."""
        seconds = int(asked.get("expirationSeconds", _DEFAULT_SECONDS))
        due, token = self._tokens.get(asked["path"], (0.0, ""))
        if clock() < due:
            return token
        meta, spec = self.pod["metadata"], self.pod["spec"]
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [asked["audience"]] if asked.get("audience") else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }
        account = spec.get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        token = str(self.api.create(path, request)["status"]["token"])
        self._tokens[asked["path"]] = (clock() + seconds / 2, token)
        return token


def _chosen(content: dict[str, bytes], source: dict[str, Any]) -> dict[str, bytes]:
    items = source.get("items")
    if items is None:
        return content
    return {item["path"]: content[item["key"]] for item in items if item["key"] in content}


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        _write(folder / path, content)
    wanted = {folder / path for path in files}
    for old in folder.rglob("*"):
        if old.is_file() and old not in wanted:
            old.unlink()


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write_secret(path, content)
