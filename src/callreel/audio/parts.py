"""A live layer that several streams filled, put together again by where its parts really lie.

Within a stream the stream's own clock places every sample. Where a second stream begins is known by its arrival only,
some 100 ms off. Held against the cloud recording it is known to the sample; this moves the parts there, for comparing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Part:
    """What one stream brought: samples [start, end) of the live layer."""

    start: int
    end: int


def moved(live: Samples, parts: Sequence[Part], starts: Sequence[int]) -> Samples:
    """`live` [n] with each part beginning at its place in `starts`, silence between; the later part wins an overlap."""
    ends = [start + part.end - part.start for part, start in zip(parts, starts, strict=True)]
    placed = np.zeros(max(ends, default=0), np.int16)
    for part, start in zip(parts, starts, strict=True):
        piece = live[part.start : part.end]
        placed[start : start + piece.size] = piece
    return placed
