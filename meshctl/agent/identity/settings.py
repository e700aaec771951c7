"""How a host gets its identity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from meshctl.errors import ConfigError, listed

KEYS: Final = ("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096")
"""Keys that istiod signs and Envoy works with."""
_NAME: Final = re.compile(r"[0-9a-z_.-]+(?<!-bin)")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
"""What gRPC takes as metadata."""
_RANGES: Final = {
    "authorities": "one `host:port` or more",
    "headers": "names of a-z, 0-9, `-`, `_` and `.` that do not end in `-bin`; values of printable ASCII",
    "key": listed(KEYS),
    "lifetime": "seconds, 1 or more",
    "ratio": "0.1 to 0.9",
    "jitter": "0 to half of the ratio",
    "spread": "seconds, 0 or more",
    "timeout": "seconds, up to 600",
    "first_wait": "seconds, up to the longest wait",
    "longest_wait": "seconds, up to 86400",
    "look": "seconds, up to 3600",
}


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Whom to ask for which certificate, and when to ask again.

    Attributes:
        authorities: `host:port` of the certificate authority, istiod; several are tried in turn.
        trust_domain: of the workload's SPIFFE identity; empty is `cluster.local`.
        namespace: of the workload.
        service_account: that the workload runs as.
        cluster: name by which istiod knows the cluster that made the token; empty says none.
        server_name: DNS name that the authority's certificate must have; empty is the host asked.
        headers: further metadata of each request, name and value.
        signer: which of the cluster's signers istiod has sign; empty is istiod itself.
        key: kind of key, one of `KEYS`.
        lifetime: seconds that a certificate is asked for; the authority may give less.
        ratio: part of a certificate's life after which it is renewed, above 0 and below 1.
        jitter: part of its life by which that moment is earlier, as chance has it, so that hosts spread.
        spread: seconds over which hosts spread that are asked for a renewal at once, as roots have changed.
        timeout: seconds that one request may take.
        first_wait: seconds up to which is waited, at random, after a first failure; each further doubles it.
        longest_wait: seconds up to which that grows.
        look: seconds between two looks at the files (token, roots, certificate).
    """

    authorities: tuple[str, ...]
    trust_domain: str
    namespace: str
    service_account: str
    cluster: str
    server_name: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    signer: str = ""
    key: str = KEYS[0]
    lifetime: float = 86400.0
    ratio: float = 0.5
    jitter: float = 0.1
    spread: float = 5.0
    timeout: float = 10.0
    first_wait: float = 0.5
    longest_wait: float = 30.0
    look: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what would ask too often, too late, or for nothing.

        Raises:
            ConfigError: a value is out of its range.
        """
        wrong = {
            "authorities": not self.authorities,
            "headers": not all(
                _NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in self.headers
            ),
            "key": self.key not in KEYS,
            "lifetime": not 1 <= self.lifetime < 1 << 40,
            "ratio": not 0.1 <= self.ratio <= 0.9,
            "jitter": not 0 <= self.jitter <= self.ratio / 2,
            "spread": not 0 <= self.spread < float("inf"),
            "timeout": not 0 < self.timeout <= 600,
            "first_wait": not 0 < self.first_wait <= self.longest_wait,
            "longest_wait": not self.longest_wait <= 86400,
            "look": not 0 < self.look <= 3600,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise ConfigError(
                "out-of-range",
                f"{name!r} of the identity cannot be {getattr(self, name)!r}",
                hint=f"see its range: {_RANGES[name]}",
            )

    @property
    def spiffe(self) -> str:
        """The identity that is asked for."""
        domain = self.trust_domain or "cluster.local"
        return f"spiffe://{domain}/ns/{self.namespace}/sa/{self.service_account}"
