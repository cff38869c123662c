"""The audio of a live person on a call: their speech is written to one track, and the other track is read for them.

`LiveInput` works like a carrier's jitter buffer: frames keep the distance of their RTP timestamps (RFC 3550, section 5.1),
slightly ahead of the readers of the track. Positions are ms of call time.
"""

from callreel.audio.samples import FRAME_MS, TELEPHONE_HZ, Samples
from callreel.domain.call import Track
from callreel.simulator.clock import CallClock
from callreel.simulator.sound.leg_audio import LegAudio

LEAD_MS = 100
"""How far ahead of now a live frame is written: readers read up to a frame ahead, and a busy browser sends late."""

_LEAST_LEAD_MS = 20
_MOST_LEAD_MS = 240


class LiveInput:
    """One person's voice on one track. `slips` counts how often its position had to be adjusted."""

    def __init__(self, audio: LegAudio, track: Track) -> None:
        self._audio = audio
        self._track = track
        self._offset_ms: int | None = None
        self.slips = 0

    def write(self, now_ms: float, timestamp: int, samples: Samples) -> None:
        """Write a frame of `samples` [n] whose RTP `timestamp` (8 kHz, unwrapped) arrived at `now_ms`."""
        elapsed_ms = timestamp * 1000 // TELEPHONE_HZ
        lead_ms = None if self._offset_ms is None else self._offset_ms + elapsed_ms - now_ms
        if lead_ms is None or not _LEAST_LEAD_MS <= lead_ms <= _MOST_LEAD_MS:
            self.slips += lead_ms is not None
            self._offset_ms = round(now_ms) + LEAD_MS - elapsed_ms
        assert self._offset_ms is not None
        self._audio.write(self._track, self._offset_ms + elapsed_ms, samples)


class PacedOutput:
    """Reads one track frame by frame at the pace of the call, beginning now."""

    def __init__(self, audio: LegAudio, track: Track, clock: CallClock) -> None:
        self._audio = audio
        self._track = track
        self._clock = clock
        self._at_ms = clock.next_ms(FRAME_MS)

    async def read(self) -> bytes:
        """Wait for the end of the next 20 ms; returns them as mu-law."""
        at_ms = self._at_ms
        self._at_ms += FRAME_MS
        await self._clock.reach(at_ms + FRAME_MS)
        return self._audio.read(self._track, at_ms, at_ms + FRAME_MS)
