"""What is wrong with an authority that a user brings as files: everything at once, each with its place."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from meshctl import pki
from meshctl.errors import ConfigError, Where
from meshctl.stages.trusting.cacerts import CERTIFICATE, CHAIN, FILES, KEY, ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

OPTIONAL: Final = ("ca-crl.pem",)
"""Files that istiod takes where they are there."""
_BEGIN: Final = re.compile(rb"^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----", re.MULTILINE)
_AGAIN: Final = "make the four files again, as Istio's guide on plugging in authorities does"


def problems(files: Mapping[str, bytes], folder: str, now: datetime) -> tuple[ConfigError, ...]:
    """Everything that keeps istiod from working with these files, or proxies from trusting each other.

    Args:
        files: the files that there are in the folder, by name.
        folder: where they are, for messages.
        now: this moment.
    """
    return tuple(_Folder(files, folder, now).problems())


class _Folder:
    """The files of one cluster, being looked at."""

    def __init__(self, files: Mapping[str, bytes], folder: str, now: datetime) -> None:
        self.files = files
        self.folder = folder.rstrip("/")
        self.now = now

    def problems(self) -> Iterator[ConfigError]:
        missing = [name for name in FILES if name not in self.files]
        for name in missing:
            yield self._wrong("file-missing", f"there is no {name}", name, "istiod needs it: " + _AGAIN)
        if missing:
            return
        read = {name: self._certificates(name) for name in (CERTIFICATE, CHAIN, ROOTS)}
        yield from (found for found in read.values() if isinstance(found, ConfigError))
        sound = {name: found for name, found in read.items() if not isinstance(found, ConfigError)}
        if CERTIFICATE in sound:
            yield from self._key(sound[CERTIFICATE][0])
        for name, found in sound.items():
            yield from self._each(name, found)
        if len(sound) == len(read):
            yield from self._together(sound[CERTIFICATE][0], sound[CHAIN], sound[ROOTS])

    def _certificates(self, name: str) -> Sequence[bytes] | ConfigError:
        """Those in a file, read one by one: a reader of the whole would pass over one that is cut off."""
        content = self.files[name]
        begins = [found.start() for found in _BEGIN.finditer(content)]
        found: list[bytes] = []
        for index, (begin, end) in enumerate(pairwise([*begins, len(content)])):
            try:
                found += pki.split(content[begin:end])
            except ValueError:
                return self._wrong("bad-certificate", "this is no whole certificate", name, _AGAIN, index)
        if not found:
            return self._wrong("bad-certificate", "there is no PEM certificate in it", name, _AGAIN)
        return found

    def _key(self, certificate: bytes) -> Iterator[ConfigError]:
        key = self.files[KEY]
        if pki.is_encrypted(key):
            what = "the key is encrypted, and istiod cannot ask for its passphrase"
            yield self._wrong("key-locked", what, KEY, "write it without a passphrase, readable by you alone")
            return
        try:
            if not pki.fits(certificate, key):
                what = f"the key is not that of the certificate in {CERTIFICATE}"
                yield self._wrong("key-does-not-fit", what, KEY, "give the key that it was made with")
        except ConfigError as error:
            yield self._wrong(error.code, error.message, KEY, "give the PEM key of " + CERTIFICATE)

    def _each(self, name: str, found: Sequence[bytes]) -> Iterator[ConfigError]:
        """What is wrong with a certificate by itself."""
        for index, certificate in enumerate(found[:1] if name == CERTIFICATE else found):
            facts = pki.facts(certificate)
            if not facts.signs:
                what = f"{facts.name} may not sign certificates"
                hint = "it needs CA:TRUE and the key usage of signing certificates"
                yield self._wrong("no-authority", what, name, hint, index)
            if facts.ends <= self.now:
                what = f"{facts.name} has ended on {facts.ends:%Y-%m-%d}"
                yield self._wrong("certificate-expired", what, name, "have it issued again", index)
            if facts.begins > self.now:
                what = f"{facts.name} begins only on {facts.begins:%Y-%m-%d %H:%M} UTC"
                hint = "is the clock of this machine, or of the one that signed it, right?"
                yield self._wrong("certificate-not-yet-valid", what, name, hint, index)

    def _together(
        self, certificate: bytes, chain: Sequence[bytes], roots: Sequence[bytes]
    ) -> Iterator[ConfigError]:
        """Whether the authority comes from a root, and workloads can show that it does."""
        way = pki.path(certificate, chain, roots)
        if not way:
            what = f"no root in {ROOTS} vouches for {pki.facts(certificate).name}"
            hint = f"put the root that issued it into {ROOTS}, and what stands between into {CHAIN}"
            yield self._wrong("no-chain", what, CERTIFICATE, hint)
            return
        for below, issuer in enumerate(way):
            length = pki.facts(issuer).path_length
            if length is not None and length < below:
                what = f"{pki.facts(issuer).name} allows {length} authorities below it, and there are {below}"
                hint = "have it issued with a longer path length, or leave an authority out"
                name, index = _place(issuer, {CHAIN: chain, ROOTS: roots})
                yield self._wrong("path-too-long", what, name, hint, index)
        marks = [pki.fingerprint(each) for each in chain]
        if len(way) > 1 and marks[0] != pki.fingerprint(certificate):
            what = f"the chain does not begin with the certificate in {CERTIFICATE}"
            hint = f"workloads show {CHAIN} after their own: put {CERTIFICATE} first, then those above it"
            yield self._wrong("chain-without-authority", what, CHAIN, hint)

    def _wrong(self, code: str, what: str, name: str, hint: str, index: int | None = None) -> ConfigError:
        """A problem of a file, at the line where its certificate of this index begins."""
        line = None
        if index is not None and name in self.files:
            content = self.files[name]
            begins = [content.count(b"\n", 0, each.start()) + 1 for each in _BEGIN.finditer(content)]
            line = begins[index] if index < len(begins) else None
        return ConfigError(code, what, where=Where(f"{self.folder}/{name}", line), hint=hint)


def _place(certificate: bytes, files: Mapping[str, Sequence[bytes]]) -> tuple[str, int]:
    """The file that holds a certificate, and which of its certificates it is."""
    mark = pki.fingerprint(certificate)
    places = [
        (name, index)
        for name, found in files.items()
        for index, each in enumerate(found)
        if pki.fingerprint(each) == mark
    ]
    return places[0] if places else (CERTIFICATE, 0)
