"""Reading finished WAV files whole: samples as they are, never scaled."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from callreel.audio import wav
from callreel.domain.errors import AudioFileError

WRITE_BLOCK = 1 << 16


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """Samples [n, channels] of any WAV as int16, and its rate in Hz. Raises AudioFileError."""
    try:
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError:
        raise AudioFileError(f"{path.name} should be a WAV file and cannot be read as one") from None
    return samples, rate_hz


def wav_chunks(samples: npt.NDArray[np.int16], rate_hz: int) -> Iterator[bytes]:
    """A mono 16-bit WAV file of `samples` [n], piece by piece."""
    yield wav.header(samples.size * 2, rate_hz)
    for at in range(0, samples.size, WRITE_BLOCK):
        yield samples[at : at + WRITE_BLOCK].astype("<i2").tobytes()
