"""G.711 mu-law to 16-bit samples and back.

Not a container: a mu-law WAV is read by `wav`. Follows ITU-T G.711 (14-bit values scaled to 16 bits, bias 132,
clipping at 32,635). Shapes are one-dimensional; one byte is one sample.
"""

import warnings

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import Samples

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # audioop is in the standard library up to Python 3.12; audioop-lts replaces it
    import audioop

SILENCE = 0xFF
"""The code of positive zero. The other zero, 0x7F, decodes to 0 too and is never produced by `encode`."""

_BIAS = 132
_CLIP = 32_635


def _encoding_table() -> npt.NDArray[np.uint8]:
    """Code of each 16-bit sample, indexed by the sample's bits read as an unsigned number."""
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    biased = np.minimum(np.abs(sample), _CLIP) + _BIAS
    exponent = np.frexp(biased)[1].astype(np.int64) - 8
    mantissa = (biased >> (exponent + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    code: npt.NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return code


_CODE_OF = _encoding_table()


def decode(payload: bytes | bytearray | memoryview) -> Samples:
    """Samples [n] of `payload` [n], in -32,124 to 32,124, read-only. Takes a quarter of the time of a lookup in a numpy table."""
    return np.frombuffer(audioop.ulaw2lin(payload, 2), np.int16)


def encode(samples: Samples) -> bytes:
    """Codes of `samples` [n], one byte each. The inverse of `decode`, except that 0x7F becomes 0xFF."""
    return _CODE_OF.take(np.ascontiguousarray(samples).view(np.uint16)).tobytes()
