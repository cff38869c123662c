"""The stretches of silence that the jitter buffer inserted for missing frames; they distinguish a late frame from a repeated one.

Positions are samples since the buffer's first.
"""

from dataclasses import dataclass
from itertools import takewhile

_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class Silence:
    """Samples from `start` to `end`. `gap` is False at the beginning of a stream, where no frame was lost."""

    start: int
    end: int
    gap: bool


class Silences:
    """In order of position. The last 4,096 are kept; all are counted."""

    __slots__ = ("_known", "gap_samples", "gaps")

    def __init__(self) -> None:
        self._known: list[Silence] = []
        self.gaps = 0
        self.gap_samples = 0

    @property
    def known(self) -> tuple[Silence, ...]:
        return tuple(self._known)

    def add(self, silence: Silence) -> None:
        """Add one after all others."""
        self._known.append(silence)
        del self._known[:-_KEPT]
        self._count(silence, 1)

    def under(self, start: int, end: int, tolerance: int) -> list[Silence]:
        """Those that share more than `tolerance` samples with `start` to `end`."""
        after = takewhile(lambda silence: silence.end > start, reversed(self._known))
        return [silence for silence in after if min(end, silence.end) - max(start, silence.start) > tolerance]

    def shrink(self, silence: Silence, start: int, end: int) -> None:
        """Remove the part from `start` to `end`, which now has audio, from `silence`."""
        left = [
            Silence(first, last, silence.gap)
            for first, last in ((silence.start, start), (end, silence.end))
            if first < last
        ]
        index = self._known.index(silence)
        self._known[index : index + 1] = left
        self._count(silence, -1)
        for piece in left:
            self._count(piece, 1)

    def _count(self, silence: Silence, sign: int) -> None:
        if silence.gap:
            self.gaps += sign
            self.gap_samples += sign * (silence.end - silence.start)
