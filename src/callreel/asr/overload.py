"""Overload levels: what is shed when engines fall behind. Finals never are.

Fed with the backlog and the time by `asr/decode_queue.py`. A level rises at once and falls when most of the backlog is gone,
so that it does not flap with every segment.
"""

from dataclasses import dataclass
from enum import IntEnum

MAX_FINALS_OF_A_CALL = 2
"""More waiting finals than this on one call turn partials off for all."""

CHEAPER_AFTER_S = 10.0
SPILL_AFTER_S = 60.0
SPILL_AUDIO_MS = 600_000
"""19 MB of audio that waits in memory."""

RECENT_S = 5.0
"""How long a shed partial shows as level 1."""


class OverloadLevel(IntEnum):
    """What is shed. Each level includes those below it."""

    NONE = 0
    COALESCED = 1
    """Partials that waited too long, or were overtaken by newer ones of their segment."""
    NO_PARTIALS = 2
    CHEAPER = 3
    """Closed segments are decoded with cheaper settings, where the engine has any."""
    SPILLING = 4
    """Newly closed segments wait on disk, and are decoded when there is room, at the latest after their call."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Closed segments that no engine process has been given yet."""

    finals: int = 0
    of_one_call: int = 0
    """Of the call that has the most."""
    oldest_s: float = 0.0
    """How long the oldest has waited."""
    audio_ms: int = 0


class Overload:
    """The level now, for `workers` engine processes. `level` 2 and above last until no final waits."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._level = OverloadLevel.NONE
        self._shed_at_s: float | None = None

    @property
    def level(self) -> OverloadLevel:
        """As of the last `look`."""
        return self._level

    def shed(self, now_s: float) -> None:
        """A partial was shed."""
        self._shed_at_s = now_s

    def look(self, backlog: Backlog, now_s: float) -> OverloadLevel:
        """The level with this backlog; `now_s` never goes back."""
        self._level = max(self._reached(backlog, now_s), self._held(backlog))
        return self._level

    def _reached(self, backlog: Backlog, now_s: float) -> OverloadLevel:
        if backlog.oldest_s > SPILL_AFTER_S or backlog.audio_ms > SPILL_AUDIO_MS:
            return OverloadLevel.SPILLING
        if backlog.oldest_s > CHEAPER_AFTER_S:
            return OverloadLevel.CHEAPER
        if backlog.of_one_call > MAX_FINALS_OF_A_CALL or backlog.finals > self._workers:
            return OverloadLevel.NO_PARTIALS
        if self._shed_at_s is not None and now_s - self._shed_at_s < RECENT_S:
            return OverloadLevel.COALESCED
        return OverloadLevel.NONE

    def _held(self, backlog: Backlog) -> OverloadLevel:
        """The level that the previous one still requires."""
        much = backlog.oldest_s > SPILL_AFTER_S / 2 or backlog.audio_ms > SPILL_AUDIO_MS // 2
        if self._level is OverloadLevel.SPILLING and much:
            return OverloadLevel.SPILLING
        if self._level >= OverloadLevel.CHEAPER and backlog.oldest_s > CHEAPER_AFTER_S / 2:
            return OverloadLevel.CHEAPER
        if self._level >= OverloadLevel.NO_PARTIALS and backlog.finals:
            return OverloadLevel.NO_PARTIALS
        return OverloadLevel.NONE
