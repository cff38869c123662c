"""A live layer of several streams, reassembled with each part at its true place.

Within a stream, the stream's own clock places every sample. The start of a second stream is known by its arrival alone, about
100 ms off; the cloud recording gives it to the sample, and for comparing the parts are moved there. Streams on different
machines wrote a file each (`ingest/handover`); the overlaid files are the layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from callreel.audio.samples import Samples
from callreel.audio.source import Source, bounds


@dataclass(frozen=True, slots=True)
class Part:
    """One stream's samples [start, end) of the live layer."""

    start: int
    end: int


class Moved:
    """`live` with its parts moved to `starts`, silence between them; where two overlap, the later one counts."""

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
    """The files of one layer as one source. Each is silent where another has its part; their lengths may differ."""

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
