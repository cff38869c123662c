"""Decides when a recorded voice plays its next line to a live person: in their pauses.

It receives the person's audio in frames of 20 ms and returns decisions, without a clock. Voice activity is energy above
a slowly rising noise floor, which suffices for a microphone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from callreel.audio.samples import FRAME_MS, Samples

PAUSE_MS = 900
"""Silence after which the person has finished their turn."""

FAREWELL_MS = 2500
"""The same after the last line: people often add something."""

NO_REPLY_MS = 7000
"""Wait for a person who says nothing at all."""

_FRAME = FRAME_MS * 8
_FIRST_MS = 600
_SPOKEN_MS = 160
_LEAST_LEVEL = 200.0
_OVER_FLOOR = 4.0
_FLOOR_RISE = 1.004
_LINE_GAP_MS = 700
_MARGIN_MS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Say:
    """Play these samples [n] now."""

    line: Samples


@dataclass(frozen=True, slots=True)
class HangUp:
    """The last line is played and answered."""


def split_lines(voice: Samples) -> list[Samples]:
    """The lines of a recorded voice [n], separated by more than 0.7 s of silence."""
    levels = _levels(voice)
    spoken = np.flatnonzero(levels >= _LEAST_LEVEL)
    if not spoken.size:
        return []
    cuts = np.flatnonzero(np.diff(spoken) > _LINE_GAP_MS // FRAME_MS)
    starts = spoken[np.concatenate([[0], cuts + 1])]
    ends = spoken[np.concatenate([cuts, [len(spoken) - 1]])] + 1
    margin = _MARGIN_MS // FRAME_MS
    return [
        voice[max(0, start - margin) * _FRAME : (end + margin) * _FRAME]
        for start, end in zip(starts, ends, strict=True)
    ]


class TurnTaking:
    """One recorded voice on one call, from its answer on."""

    def __init__(self, lines: Sequence[Samples]) -> None:
        self._lines = list(lines)
        self._now_ms = 0
        self._free_ms = _FIRST_MS
        self._floor = _LEAST_LEVEL / _OVER_FLOOR
        self._spoken_ms = 0
        self._quiet_ms = 0
        self._started = False

    def process(self, frame: Samples) -> Say | HangUp | None:
        """The decision after the next 20 ms of the person's audio."""
        self._now_ms += FRAME_MS
        self._detect(float(_levels(frame)[0]))
        if self._now_ms < self._free_ms or not self._may_speak():
            return None
        if not self._lines:
            return HangUp()
        line = self._lines.pop(0)
        self._started = True
        self._spoken_ms = self._quiet_ms = 0
        self._free_ms = self._now_ms + len(line) // 8
        return Say(line)

    def _detect(self, level: float) -> None:
        self._floor = max(1.0, min(self._floor * _FLOOR_RISE, level))
        if level > max(_LEAST_LEVEL, self._floor * _OVER_FLOOR):
            self._spoken_ms += FRAME_MS
            self._quiet_ms = 0
        else:
            self._quiet_ms += FRAME_MS

    def _may_speak(self) -> bool:
        if not self._started:
            return True
        waited_ms = min(self._quiet_ms, self._now_ms - self._free_ms)
        answered = self._spoken_ms >= _SPOKEN_MS
        pause_ms = PAUSE_MS if self._lines else FAREWELL_MS
        return self._quiet_ms >= pause_ms if answered else waited_ms >= NO_REPLY_MS


def _levels(samples: Samples) -> "np.typing.NDArray[np.float64]":
    """The root mean square of each whole frame, or of a single shorter frame."""
    whole = max(1, len(samples) // _FRAME)
    frames = samples[: whole * _FRAME].astype(np.float64).reshape(whole, -1)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)))
