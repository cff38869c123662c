"""The paused stretches of a live call: all samples in them become silence before anything reads them.

One object for the lanes of a call. Positions are samples of layer 1, on the call's clock. Nothing is done for a frame:
a lane asks once for a block, after the jitter buffer, so that late frames of a paused stretch are silenced too.
"""

import sys

from callreel.audio.samples import Samples

_OPEN = sys.maxsize


class PausedTime:
    """Used on the event loop. `stretches` are [start, end) in order; the last one may be open."""

    __slots__ = ("stretches",)

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = []

    @property
    def open(self) -> bool:
        """Whether the call is paused now."""
        return bool(self.stretches) and self.stretches[-1][1] == _OPEN

    @property
    def end(self) -> int:
        """Where the last paused stretch ends; beyond every position while it is open, and 0 without one."""
        return self.stretches[-1][1] if self.stretches else 0

    def begin(self, at: int) -> None:
        """Silence from position `at` on, and not from an earlier pause's end on: pauses do not overlap."""
        self.stretches.append((max(at, self.end), _OPEN))

    def finish(self, at: int) -> None:
        """The open stretch ends at `at`."""
        start, _ = self.stretches[-1]
        self.stretches[-1] = (start, max(at, start))

    def silenced(self, start: int, samples: Samples) -> Samples:
        """`samples` [n] at position `start` with zeros where the call is paused; the same object if nowhere."""
        end, copy = start + samples.size, samples
        for first, last in self.stretches:
            if first < end and last > start:
                copy = samples.copy() if copy is samples else copy
                copy[max(first - start, 0) : max(last - start, 0)] = 0
        return copy
