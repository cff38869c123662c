"""Loudness of samples: a level for a meter, and minimum and maximum pairs for a waveform.

Levels are RMS in dBFS, where a square wave at full scale is 0 and a full-scale sine -3.01.
"""

import math

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import Samples

FLOOR_DBFS = -96.0
"""The level of digital silence and of empty input; about one step of 16 bits."""


def dbfs(samples: Samples) -> float:
    """RMS level of `samples` [n], from `FLOOR_DBFS` to 0."""
    if not samples.size:
        return FLOOR_DBFS
    wide = samples.astype(np.float32)
    mean_square = float(np.dot(wide, wide)) / samples.size / 32_768.0**2
    return max(FLOOR_DBFS, 10 * math.log10(mean_square)) if mean_square > 0 else FLOOR_DBFS


def peaks(samples: Samples, samples_per_bucket: int) -> npt.NDArray[np.int16]:
    """Lowest and highest sample [buckets, 2] of each bucket of `samples` [n]; the last one may be shorter."""
    if samples_per_bucket < 1:
        raise ValueError(f"expected at least one sample per bucket, got {samples_per_bucket}")
    starts = np.arange(0, samples.size, samples_per_bucket)
    if not starts.size:
        return np.zeros((0, 2), np.int16)
    lowest = np.minimum.reduceat(samples, starts)
    highest = np.maximum.reduceat(samples, starts)
    return np.stack([lowest, highest], axis=1)
