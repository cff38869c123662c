"""Samples that need not be in memory: anything with a length that gives stretches of itself. An array is one.

What works along hours of audio (envelopes, alignment, detection) asks for stretches, so it runs on arrays in tests and
on files in production. Pure: who reads a file is elsewhere (`services/wav_files`).
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from callreel.audio.samples import Samples


class Source(Protocol):
    """Mono samples by place. A stretch beyond the end is shorter, as of an array."""

    @property
    def size(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Samples: ...


class Stretch:
    """Samples `start` up to but not including `stop` of another source, counted from 0 again."""

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
    """Where a stretch of `size` samples begins and ends; steps other than 1 are nobody's business here."""
    first, stop, step = part.indices(size)
    if step != 1:
        raise ValueError(f"expected a stretch in steps of one sample, got steps of {step}")
    return first, max(first, stop)


def in_blocks(source: Source, block: int) -> Iterator[Samples]:
    """All of `source`, `block` samples at a time; the last ones may be fewer."""
    for at in range(0, source.size, block):
        yield source[at : at + block]


def last_sound(source: Source, start: int, stop: int, block: int = 8_000) -> int:
    """The end of what is not digital silence in samples [start, stop): the place after the last such one, else `start`."""
    for at in range(stop, start, -block):
        sounding = np.flatnonzero(source[max(start, at - block) : at])
        if sounding.size:
            return max(start, at - block) + int(sounding[-1]) + 1
    return start
