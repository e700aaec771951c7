"""What all records of ours have in common: canonical JSON, compressed, in a Secret."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from meshctl.errors import ConfigError, UnsupportedError
from meshctl.model.labels import MESH
from meshctl.model.objects import Object, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshctl.ports import Cluster

T = TypeVar("T")

NAMESPACE: Final = "kube-system"
"""Where records are kept, as they must outlive the mesh's own namespace."""
_TYPE: Final = "meshctl.dev/"
_LARGEST: Final = 1024 * 1024  # what the API server takes in one Secret


@dataclass(frozen=True)
class Form:
    """A kind of record.

    Attributes:
        word: names the Secret's type and its key, and begins the codes of errors: `release`.
        noun: what messages call it: `release record`.
        if_unknown: what to do with one of a format that this version does not know.
        if_damaged: what to do with one that cannot be read.
        if_large: what to do about one that is larger than a Secret may be.
        format: version of its form.
    """

    word: str
    noun: str
    if_unknown: str
    if_damaged: str
    if_large: str
    format: int = 1

    @property
    def type(self) -> str:
        """Type of the Secret."""
        return f"{_TYPE}{self.word}"

    def pack(self, content: Mapping[str, Any]) -> bytes:
        """JSON data as bytes: the same data gives the same bytes."""
        return _packed({**content, "format": self.format})

    def unpack(self, data: bytes, name: str, read: Callable[[Mapping[str, Any]], T]) -> T:
        """What `read` makes of the JSON data in what `pack` gave.

        Args:
            data: the bytes.
            name: name of the record, for messages.
            read: raises as Python does where something is wrong.

        Raises:
            UnsupportedError: the record is damaged, or of a format that this version does not know.
        """
        try:
            content = json.loads(gzip.decompress(data))
            form = content["format"]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise self.unreadable(name, str(error)) from error
        if form != self.format:
            raise UnsupportedError(
                f"{self.word}-format",
                f"{self.noun} {name!r} has format {form!r}; this meshctl knows {self.format}",
                hint=self.if_unknown,
            )
        try:
            return read(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.unreadable(name, f"{type(error).__name__}: {error}") from error

    def unreadable(self, name: str, words: str) -> UnsupportedError:
        """The error for a record that is damaged; `words` say how."""
        return UnsupportedError(
            f"{self.word}-unreadable",
            f"{self.noun} {name!r} cannot be read",
            hint=self.if_damaged,
            details=(words,),
        )

    def secret(self, ref: Ref, labels: Mapping[str, str], data: bytes) -> Object:
        """The Secret that holds a record.

        Raises:
            ConfigError: it is larger than a Secret may be.
        """
        if len(data) > _LARGEST:
            raise ConfigError(
                f"{self.word}-too-large",
                f"{self.noun} {ref.name!r} takes {len(data)} bytes; a Secret may have {_LARGEST}",
                hint=self.if_large,
            )
        return Object(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": ref.name, "namespace": ref.namespace, "labels": {**labels}},
                "type": self.type,
                "data": {self.word: base64.b64encode(data).decode()},
            }
        )

    def data(self, secret: Object) -> bytes:
        """The record in a Secret.

        Raises:
            UnsupportedError: it is damaged.
        """
        try:
            return base64.b64decode(secret.at(f"data.{self.word}", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.unreadable(secret.ref.name, str(error)) from error


@dataclass(frozen=True)
class Codec(Generic[T]):
    """What a kind of record holds, as bytes and back.

    Attributes:
        form: of the record.
        to_json: its content as JSON data.
        from_json: the content in JSON data; whatever is wrong with it raises as Python does.
    """

    form: Form
    to_json: Callable[[T], Mapping[str, Any]]
    from_json: Callable[[Mapping[str, Any]], T]

    def encode(self, content: T) -> bytes:
        """The record as compressed canonical JSON: the same content gives the same bytes."""
        return self.form.pack(self.to_json(content))

    def decode(self, data: bytes, name: str) -> T:
        """The content in what `encode` gave; `name` is the record's, for messages.

        Raises:
            UnsupportedError: the record is damaged, or of a format that this version does not know.
        """
        return self.form.unpack(data, name, self.from_json)


@dataclass(frozen=True)
class MeshRecord(Generic[T]):
    """What is under way for a mesh, in one Secret of a cluster: written before each step, gone at the end.

    Attributes:
        codec: of what it holds.
        cluster: where it is kept.
        mesh: name of the mesh.
    """

    codec: Codec[T]
    cluster: Cluster
    mesh: str

    @property
    def ref(self) -> Ref:
        """What names the Secret."""
        return Ref("v1", "Secret", NAMESPACE, f"meshctl.{self.mesh}.{self.codec.form.word}")

    def read(self) -> T | None:
        """What is under way; None when nothing is.

        Raises:
            UnsupportedError: it is damaged, or of a format that this version does not know.
        """
        secret = self.cluster.get(self.ref)
        if secret is None or secret.is_leaving:
            return None
        return self.codec.decode(self.codec.form.data(secret), self.ref.name)

    def write(self, content: T) -> None:
        """Create or replace it.

        Raises:
            ConfigError: the record is larger than a Secret may be.
        """
        secret = self.codec.form.secret(self.ref, {MESH: self.mesh}, self.codec.encode(content))
        self.cluster.apply(secret, take_over=True)

    def forget(self) -> None:
        """Take it away; something already gone is no error, and asks for no right to remove it."""
        if self.cluster.get(self.ref) is not None:
            self.cluster.delete(self.ref)


def rewritten(secret: Object, change: Callable[[Any], Any]) -> Object | None:
    """A record of any form with its JSON data changed; None for what is none, or is damaged."""
    kind = str(secret.at("type", ""))
    word = kind.removeprefix(_TYPE)
    if secret.ref.kind != "Secret" or word == kind:
        return None
    try:
        content = json.loads(gzip.decompress(base64.b64decode(secret.at(f"data.{word}", ""))))
    except (OSError, EOFError, ValueError):
        return None
    data = base64.b64encode(_packed(change(content))).decode()
    return Object({**secret.content, "data": {word: data}})


def _packed(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), 9, mtime=0)
