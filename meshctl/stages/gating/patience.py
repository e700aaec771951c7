"""For how long objections are put up with, and for how long there must be none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshctl.errors import FailedError

if TYPE_CHECKING:
    from meshctl.model.upgrade import Gate
    from meshctl.stages.gating.judgement import Objection

_SHOWN: Final = 3


@dataclass
class Patience:
    """What was said against moved pods, since when, and for how long nothing was.

    Attributes:
        gate: what must hold, and how long it may take.
        revision: where the pods should be, for messages.
        begun: when the first look was taken; seconds that only grow, as all times here.
    """

    gate: Gate
    revision: str
    begun: float
    _now: float = field(init=False)
    _objections: tuple[Objection, ...] = ()
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _held: float | None = None
    _well: float = field(init=False)
    _told: str = ""

    def __post_init__(self) -> None:
        """No time has passed."""
        self._now = self._well = self.begun

    @property
    def has_held(self) -> bool:
        """Whether nothing was said against the pods for the time of the soak."""
        return self._held is not None and self._now - self._held >= self.gate.soak

    @property
    def passed(self) -> float:
        """Seconds since the first look."""
        return self._now - self.begun

    def judge(self, objections: tuple[Objection, ...], now: float) -> None:
        """Take in one look.

        What is said during the soak may be mended, as what is said at first: the time of the gate begins
        anew whenever all holds, and is given twice in all, so that it ends though proxies waver.

        Raises:
            FailedError: the time is up, or an objection has lasted longer than there is patience with.
        """
        self._now = now
        self._objections = objections
        keys = [(each.subject, each.code) for each in objections]
        self._since = {key: self._since.get(key, now) for key in keys}
        if not objections:
            self._held = now if self._held is None else self._held
            self._well = now
            return
        self._held = None
        lasted = [
            each
            for each, key in zip(objections, keys, strict=True)
            if now - self._since[key] >= each.patience
        ]
        is_late = now - self._well >= self.gate.seconds
        if lasted or is_late or self.passed >= self.gate.soak + 2 * self.gate.seconds:
            raise self._failed(lasted[0] if lasted else objections[0])

    def news(self) -> str:
        """What is waited for, where it is not what was told last."""
        cause = "; ".join(map(str, self._objections[:_SHOWN]))
        if len(self._objections) > _SHOWN:
            cause += f"; and {len(self._objections) - _SHOWN} more"
        if self._held is not None and not self.has_held:
            cause = f"all must hold for {self.gate.soak:g} s"
        if cause == self._told:
            return ""
        self._told = cause
        return cause

    def _failed(self, first: Objection) -> FailedError:
        return FailedError(
            "gate-failed",
            f"the gate of revision {self.revision!r} was not passed after {self.passed:.0f} s: {first}",
            hint="mend the cause, then begin again; `meshctl proxy-status` shows every proxy",
            details=tuple(map(str, self._objections)),
        )
