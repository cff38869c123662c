"""Sample rates, frame sizes and the array types of audio, in one place."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

TELEPHONE_HZ: Final = 8_000
"""The rate of media streams, of layer 1 and of the carrier's recordings."""
ASR_HZ: Final = 16_000
"""The rate of layer 2, which speech engines read."""
FRAME_MS: Final = 20
"""The usual length of a media frame; the carrier may send any length."""
FRAME_BYTES: Final = TELEPHONE_HZ * FRAME_MS // 1000
"""Mu-law bytes of a usual frame, one byte a sample."""
SAMPLES_PER_MS: Final = TELEPHONE_HZ // 1000
ASR_SAMPLES_PER_MS: Final = ASR_HZ // 1000

Samples: TypeAlias = npt.NDArray[np.int16]
"""Linear 16-bit samples, one channel, shape (n,)."""
Floats: TypeAlias = npt.NDArray[np.float32]
"""Samples or levels as 32-bit floats, shape (n,)."""
