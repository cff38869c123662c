"""Combines several sources into one layer: streams of a call, files of a layer, or consecutive recordings.

Within a stream the stream's own clock places every sample. The start of a second stream is first estimated from its
arrival, with an error of some 100 ms; alignment with the cloud recording makes it exact. Streams on different machines
wrote one file each (`ingest/handover`); overlaid, these files are the layer.
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


class Joined:
    """Sources at the positions `starts` (in samples), with silence in between; in an overlap the later one wins."""

    __slots__ = ("_placed", "size")

    def __init__(self, sources: Sequence[Source], starts: Sequence[int]) -> None:
        self._placed = list(zip(sources, starts, strict=True))
        self.size = max((start + source.size for source, start in self._placed), default=0)

    def __getitem__(self, wanted: slice, /) -> Samples:
        first, stop = bounds(wanted, self.size)
        made = np.zeros(stop - first, np.int16)
        for source, start in self._placed:
            begins, ends = max(start, first), min(start + source.size, stop)
            if begins < ends:
                piece = source[begins - start : ends - start]
                made[begins - first : begins - first + piece.size] = piece
        return made


class Overlaid:
    """The files of one layer as one source. Each is silent where another has audio; their lengths may differ."""

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
