"""The ringback tone that is played to a caller while the other phone rings, as 8 kHz samples.

Cadences and frequencies: North American precise tone plan (440 + 480 Hz, 2 s on, 4 s off) and ITU-T E.180 supplement 2
for Germany and much of Europe (425 Hz, 1 s on, 4 s off).
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import TELEPHONE_HZ

_LEVEL = 3000


class Ringback(StrEnum):
    """Region of the called phone."""

    NORTH_AMERICA = "us"
    EUROPE = "eu"
    NONE = "none"


_TONES = {
    Ringback.NORTH_AMERICA: ((440, 480), 2.0, 6.0),
    Ringback.EUROPE: ((425,), 1.0, 5.0),
    Ringback.NONE: ((), 0.0, 6.0),
}


def ringback(kind: Ringback, duration_ms: int) -> npt.NDArray[np.int16]:
    """`duration_ms` of the tone, beginning with its on phase: int16 [8 * duration_ms]."""
    frequencies, on_s, period_s = _TONES[kind]
    seconds = np.arange(duration_ms * TELEPHONE_HZ // 1000) / TELEPHONE_HZ
    tone = np.zeros(len(seconds))
    for frequency_hz in frequencies:
        tone += _LEVEL * np.sin(2 * np.pi * frequency_hz * seconds)
    tone[seconds % period_s >= on_s] = 0
    return np.rint(tone).astype(np.int16)
