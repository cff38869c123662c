"""Samples that need not be in memory: any object with a length and slices, such as an array.

Code that works along hours of audio (envelopes, alignment, detection) reads slices, so it runs on arrays in tests and on
files in production. `store/files/sound_files` reads the files.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from callreel.audio.samples import TELEPHONE_HZ, Samples


class Source(Protocol):
    """Mono samples by position. A slice beyond the end is shorter, as with an array."""

    @property
    def size(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Samples: ...


class Stretch:
    """Samples [start, stop) of another source, as a source that starts at 0."""

    __slots__ = ("_source", "_start", "_stop")

    def __init__(self, source: Source, start: int, stop: int | None = None) -> None:
        self._source = source
        self._start = min(max(start, 0), source.size)
        self._stop = max(self._start, min(source.size if stop is None else stop, source.size))

    @property
    def size(self) -> int:
        return self._stop - self._start

    def __getitem__(self, part: slice, /) -> Samples:
        first, stop = bounds(part, self.size)
        return self._source[self._start + first : self._start + stop]


def bounds(part: slice, size: int) -> tuple[int, int]:
    """The start and end of the slice `part` of `size` samples. Raises ValueError for steps other than 1."""
    first, stop, step = part.indices(size)
    if step != 1:
        raise ValueError(f"expected a slice in steps of one sample, got steps of {step}")
    return first, max(first, stop)


def in_blocks(source: Source, block: int) -> Iterator[Samples]:
    """All of `source`, `block` samples at a time; the last ones may be fewer."""
    for at in range(0, source.size, block):
        yield source[at : at + block]


def last_sound(source: Source, start: int, stop: int, block: int = TELEPHONE_HZ) -> int:
    """The position after the last sample in [start, stop) that is not digital silence; `start` if all are."""
    for at in range(stop, start, -block):
        nonzero = np.flatnonzero(source[max(start, at - block) : at])
        if nonzero.size:
            return max(start, at - block) + int(nonzero[-1]) + 1
    return start
