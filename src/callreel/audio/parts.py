"""A live layer that several streams filled, put together again by where its parts really lie.

Within a stream the stream's own clock places every sample. Where a second stream begins is known by its arrival only,
some 100 ms off. Held against the cloud recording it is known to the sample; this moves the parts there, for comparing.
Streams that went to different machines left a file each (`services/handover`); laid over one another they are the layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from callreel.audio.samples import Samples
from callreel.audio.source import Source, bounds


@dataclass(frozen=True, slots=True)
class Part:
    """What one stream brought: samples [start, end) of the live layer."""

    start: int
    end: int


class Moved:
    """`live` with each part beginning at its place in `starts`, silence between; the later part wins an overlap."""

    __slots__ = ("_live", "_placed", "size")

    def __init__(self, live: Source, parts: Sequence[Part], starts: Sequence[int]) -> None:
        self._live = live
        self._placed = list(zip(parts, starts, strict=True))
        self.size = max((start + part.end - part.start for part, start in self._placed), default=0)

    def __getitem__(self, wanted: slice, /) -> Samples:
        first, stop = bounds(wanted, self.size)
        made = np.zeros(stop - first, np.int16)
        for part, start in self._placed:
            begins, ends = max(start, first), min(start + part.end - part.start, stop)
            if begins < ends:
                piece = self._live[part.start + begins - start : part.start + ends - start]
                made[begins - first : begins - first + piece.size] = piece
        return made


class Overlaid:
    """The files of one layer as one: each is silent where another has its part, and they need not reach equally far."""

    __slots__ = ("_files", "size")

    def __init__(self, files: Sequence[Source]) -> None:
        self._files = files
        self.size = max((file.size for file in files), default=0)

    def __getitem__(self, wanted: slice, /) -> Samples:
        first, stop = bounds(wanted, self.size)
        made = np.zeros(stop - first, np.int16)
        for file in self._files:
            piece = file[first:stop]
            made[: piece.size] |= piece
        return made
