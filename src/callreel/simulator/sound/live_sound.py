"""The sound of a person who is on a call now: what they say is laid on a track, and what they hear is read from one.

`LiveInput` does what a carrier's jitter buffer does: frames keep the distance that their RTP timestamps give them (RFC 3550,
section 5.1), a little ahead of those who read the track. Neither knows WebRTC; positions are ms of call time.
"""

from callreel.audio.samples import FRAME_MS, TELEPHONE_HZ, Samples
from callreel.domain.call import Track
from callreel.simulator.clock import CallClock
from callreel.simulator.sound.leg_audio import LegAudio

LEAD_MS = 100
"""How far ahead of now a live frame is laid: listeners read up to a frame ahead, and frames of a busy browser come late."""

_LEAST_LEAD_MS = 20
_MOST_LEAD_MS = 240


class LiveInput:
    """One person's voice on one track. `slips` counts how often its place had to be moved."""

    def __init__(self, audio: LegAudio, track: Track) -> None:
        self._audio = audio
        self._track = track
        self._offset_ms: int | None = None
        self.slips = 0

    def say(self, now_ms: float, timestamp: int, samples: Samples) -> None:
        """A frame of `samples` [n] whose RTP `timestamp` (8 kHz, unwrapped) came at `now_ms`."""
        elapsed_ms = timestamp * 1000 // TELEPHONE_HZ
        lead_ms = None if self._offset_ms is None else self._offset_ms + elapsed_ms - now_ms
        if lead_ms is None or not _LEAST_LEAD_MS <= lead_ms <= _MOST_LEAD_MS:
            self.slips += lead_ms is not None
            self._offset_ms = round(now_ms) + LEAD_MS - elapsed_ms
        assert self._offset_ms is not None
        self._audio.lay(self._track, self._offset_ms + elapsed_ms, samples)


class PacedOutput:
    """What one person hears of one track, frame by frame at the call's pace, beginning now."""

    def __init__(self, audio: LegAudio, track: Track, clock: CallClock) -> None:
        self._audio = audio
        self._track = track
        self._clock = clock
        self._at_ms = clock.next_ms(FRAME_MS)

    async def hear(self) -> bytes:
        """The next 20 ms as mu-law, when they are over."""
        at_ms = self._at_ms
        self._at_ms += FRAME_MS
        await self._clock.reach(at_ms + FRAME_MS)
        return self._audio.heard(self._track, at_ms, at_ms + FRAME_MS)
