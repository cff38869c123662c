"""The audio of a call's parent leg: two tracks of mu-law over call time, the single source for all readers.

Streams, recordings and browsers read the same bytes, so a stream's frames are exactly the recording's samples. A recorded
voice is written when it begins to speak, a live one frame by frame slightly ahead of the readers (`live_sound`). What has
been read cannot change. Positions are ms of call time, 8 codes each.
"""

from callreel.audio import mulaw
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Track

_PER_MS = TELEPHONE_HZ // 1000


class LegAudio:
    """Both tracks; unwritten stretches are silence. Memory: 16 kB per second of call."""

    def __init__(self) -> None:
        self._codes = {track: bytearray() for track in Track}
        self._read_until = {track: 0 for track in Track}

    def write(self, track: Track, start_ms: int, samples: Samples) -> None:
        """Write `samples` [n] (8 kHz) at `start_ms`, replacing what is there, except for what has been read."""
        codes = mulaw.encode(samples)
        start = start_ms * _PER_MS
        skipped = max(0, self._read_until[track] - start)
        line = self._codes[track]
        self._reach(line, start + skipped)
        line[start + skipped : start + len(codes)] = codes[skipped:]

    def cut(self, track: Track, at_ms: int) -> None:
        """Delete what was written from `at_ms` on, except for what has been read."""
        del self._codes[track][max(at_ms * _PER_MS, self._read_until[track]) :]

    def cut_all(self, at_ms: int) -> None:
        """`cut` on both tracks."""
        for track in Track:
            self.cut(track, at_ms)

    def read(self, track: Track, from_ms: int, to_ms: int) -> bytes:
        """The mu-law codes of that stretch, which cannot change from now on."""
        start, end = from_ms * _PER_MS, to_ms * _PER_MS
        line = self._codes[track]
        self._reach(line, end)
        self._read_until[track] = max(self._read_until[track], end)
        return bytes(line[start:end])

    def samples(self, track: Track, from_ms: int, to_ms: int) -> Samples:
        """The same stretch as samples [8 per ms]."""
        return mulaw.decode(self.read(track, from_ms, to_ms))

    @staticmethod
    def _reach(line: bytearray, length: int) -> None:
        line.extend(bytes([mulaw.SILENCE]) * (length - len(line)))
