"""When a recorded voice says its next line to a live person: it waits for their pauses.

Fed with the person's sound in frames of 20 ms, it says what to do; it knows neither clock nor call. Whether somebody
speaks is told by energy over a slowly rising floor, which is enough for a microphone; it is no speech detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from callreel.audio.samples import FRAME_MS, Samples

PAUSE_MS = 900
"""How long a person is quiet when they have finished."""

FAREWELL_MS = 2500
"""The same when the voice has nothing more to say: people come back with one thing more."""

PATIENCE_MS = 7000
"""How long the voice waits for somebody who says nothing at all."""

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
    """Say these samples [n] now."""

    line: Samples


@dataclass(frozen=True, slots=True)
class HangUp:
    """All is said and answered."""


def split_lines(voice: Samples) -> list[Samples]:
    """The lines of a recorded voice [n]: its stretches of sound, cut where it is silent for more than 0.7 s."""
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
    """One recorded voice on one call, from the moment it picks up."""

    def __init__(self, lines: Sequence[Samples]) -> None:
        self._lines = list(lines)
        self._now_ms = 0
        self._free_ms = _FIRST_MS
        self._floor = _LEAST_LEVEL / _OVER_FLOOR
        self._spoken_ms = 0
        self._quiet_ms = 0
        self._begun = False

    def hear(self, frame: Samples) -> Say | HangUp | None:
        """The next 20 ms of the person."""
        self._now_ms += FRAME_MS
        self._listen(float(_levels(frame)[0]))
        if self._now_ms < self._free_ms or not self._may_speak():
            return None
        if not self._lines:
            return HangUp()
        line = self._lines.pop(0)
        self._begun = True
        self._spoken_ms = self._quiet_ms = 0
        self._free_ms = self._now_ms + len(line) // 8
        return Say(line)

    def _listen(self, level: float) -> None:
        self._floor = max(1.0, min(self._floor * _FLOOR_RISE, level))
        if level > max(_LEAST_LEVEL, self._floor * _OVER_FLOOR):
            self._spoken_ms += FRAME_MS
            self._quiet_ms = 0
        else:
            self._quiet_ms += FRAME_MS

    def _may_speak(self) -> bool:
        if not self._begun:
            return True
        waited_ms = min(self._quiet_ms, self._now_ms - self._free_ms)
        answered = self._spoken_ms >= _SPOKEN_MS
        pause_ms = PAUSE_MS if self._lines else FAREWELL_MS
        return self._quiet_ms >= pause_ms if answered else waited_ms >= PATIENCE_MS


def _levels(samples: Samples) -> "np.typing.NDArray[np.float64]":
    """The root mean square of each whole frame; of the one frame there is, where it is shorter."""
    whole = max(1, len(samples) // _FRAME)
    frames = samples[: whole * _FRAME].astype(np.float64).reshape(whole, -1)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)))
