"""Keeps what has happened, so that somebody can be told how it stands."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.agent.ads.state import AdsState, TypeState, short
from meshctl.agent.latest import Latest

if TYPE_CHECKING:
    from collections.abc import Callable


class Journal:
    """What has happened between istiod, the agent and Envoy.

    Attributes:
        connected: whether an istiod answers.
        removed: extensions that were left out since Envoy's stream began, and how often.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing; `clock` gives epoch seconds."""
        self.connected: Latest[bool] = Latest(False)
        self.removed: Counter[str] = Counter()
        self._clock = clock
        self._state = AdsState()
        self._types: dict[str, TypeState] = {}

    def state(self, error: str) -> AdsState:
        """How it stands; `error` is why no istiod answers, if none does."""
        return replace(
            self._state,
            error="" if self._state.server else error,
            types=dict(sorted(self._types.items())),
            removed=dict(sorted(self.removed.items())),
        )

    def envoy(self, protocol: str) -> None:
        """Envoy has begun a stream; an empty protocol: it has none any more."""
        self._state = replace(self._state, envoy=bool(protocol), protocol=protocol or self._state.protocol)
        if protocol:
            self.removed.clear()

    def answered(self, server: str) -> None:
        """An istiod has answered, for the first time on its stream."""
        connections = self._state.connections + 1
        self._state = replace(self._state, server=server, since=self._clock(), connections=connections)
        self.connected.set(True)

    def lost(self) -> None:
        """No istiod answers any more."""
        if self._state.server:
            self._state = replace(self._state, server="", since=self._clock())
        self.connected.set(False)

    def pushed(self, type_url: str) -> None:
        """A response has come."""
        kept = self._of(type_url)
        self._types[short(type_url)] = replace(kept, pushes=kept.pushes + 1, at=self._clock())

    def accepted(self, type_url: str, version: str) -> None:
        """A response was taken."""
        kept = self._of(type_url)
        self._types[short(type_url)] = replace(kept, accepted=kept.accepted + 1, version=version, error="")

    def rejected(self, type_url: str, error: str) -> None:
        """A response was refused."""
        kept = self._of(type_url)
        self._types[short(type_url)] = replace(kept, rejected=kept.rejected + 1, error=error)

    def _of(self, type_url: str) -> TypeState:
        return self._types.get(short(type_url), TypeState())
