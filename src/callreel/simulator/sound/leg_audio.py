"""What is heard on the parent leg of a call: two tracks of mu-law over call time, one true copy for all who listen.

Streams, recordings and live parties read the same bytes here, so a stream's frames are exactly the recording's samples,
and what a browser is sent. A recorded voice is laid when it begins to speak, a live one frame by frame just ahead of
those who listen (`live_sound`); what has been heard cannot change. Positions are ms of call time, 8 codes each.
"""

from callreel.audio import mulaw
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Track

_PER_MS = TELEPHONE_HZ // 1000


class LegAudio:
    """Both tracks, silent where nothing was laid. Memory: 16 kB a second of call."""

    def __init__(self) -> None:
        self._codes = {track: bytearray() for track in Track}
        self._heard = {track: 0 for track in Track}

    def lay(self, track: Track, start_ms: int, samples: Samples) -> None:
        """Put `samples` [n] (8 kHz) at `start_ms`, over what lies there. The part already heard is left as it was."""
        codes = mulaw.encode(samples)
        start = start_ms * _PER_MS
        skipped = max(0, self._heard[track] - start)
        line = self._codes[track]
        self._reach(line, start + skipped)
        line[start + skipped : start + len(codes)] = codes[skipped:]

    def cut(self, track: Track, at_ms: int) -> None:
        """Take away what was laid from `at_ms` on and is not heard yet."""
        del self._codes[track][max(at_ms * _PER_MS, self._heard[track]) :]

    def heard(self, track: Track, from_ms: int, to_ms: int) -> bytes:
        """The mu-law codes of that stretch, which from now on cannot change."""
        start, end = from_ms * _PER_MS, to_ms * _PER_MS
        line = self._codes[track]
        self._reach(line, end)
        self._heard[track] = max(self._heard[track], end)
        return bytes(line[start:end])

    def samples(self, track: Track, from_ms: int, to_ms: int) -> Samples:
        """The same stretch as samples [8 a ms]."""
        return mulaw.decode(self.heard(track, from_ms, to_ms))

    @staticmethod
    def _reach(line: bytearray, length: int) -> None:
        line.extend(bytes([mulaw.SILENCE]) * (length - len(line)))
