"""Loudness of a whole recording in small blocks, and which blocks contain sound. Not a speech detector."""

import numpy as np

from callreel.audio.samples import Floats
from callreel.audio.source import Source

FLOOR_RMS = 33.0
"""-60 dBFS. Anything softer is silence in any recording."""

_PIECE = 1_000_000


def block_rms(samples: Source, block: int) -> Floats:
    """RMS [n // block] of each whole block of `samples` [n], in steps of 16 bits. Works in pieces of 4 MB."""
    blocks = samples.size // block
    rms = np.empty(blocks, np.float32)
    step = max(1, _PIECE // block)
    for first in range(0, blocks, step):
        last = min(blocks, first + step)
        wide = samples[first * block : last * block].astype(np.float32).reshape(-1, block)
        rms[first:last] = np.sqrt(np.einsum("ij,ij->i", wide, wide) / block)
    return rms


def sound_threshold(rms: Floats, background: float = 0.0) -> float:
    """The RMS from which on a block contains sound: three times the background, at most a tenth of the loud parts.

    The background is the softest tenth of `rms`, or `background` if that is louder. The bound by the loud parts keeps a
    recording of nothing but noise from counting as silence.
    """
    if not rms.size:
        return FLOOR_RMS
    soft, loud = np.percentile(rms, [10, 99])
    return float(max(FLOOR_RMS, min(3 * max(soft, background), 0.1 * loud)))
