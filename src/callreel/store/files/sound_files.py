"""Readers of finished audio files, WAV of any kind and FLAC, block by block, for local files and objects alike.

Memory holds only the requested samples; `read_wav` is for short files.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt
import soundfile

from callreel.audio import wav
from callreel.audio.resample import rate_blocks
from callreel.audio.samples import Samples
from callreel.audio.source import Source, bounds, in_blocks
from callreel.domain.errors import AudioFileError

READ_BLOCK = 1 << 17
"""Samples of each channel that are read at once."""


class SoundFile:
    """An open audio file, for one thread. `close` also closes the given file.

    Raises AudioFileError if it is no audio file.
    """

    def __init__(self, file: BinaryIO, name: str, *, only: int | None = None) -> None:
        """`only` selects one channel, counted from 1."""
        self._file = file
        self._only = only
        self._name = name
        try:
            self._sound = soundfile.SoundFile(file)
        except (soundfile.LibsndfileError, TypeError):
            file.close()
            raise AudioFileError(
                f"{name.rpartition('/')[2]} should be a WAV file and cannot be read as one"
            ) from None
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels if only is None else 1
        self.samples: int = self._sound.frames
        """Of each channel."""
        self._at = 0

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz

    def read(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        """Samples [stop - start, channels]; fewer at the end of the file. Raises AudioFileError."""
        try:
            if start != self._at:
                self._sound.seek(start)
            found: npt.NDArray[np.int16] = self._sound.read(stop - start, dtype="int16", always_2d=True)
        except soundfile.LibsndfileError as error:
            self._at = -1
            raise AudioFileError(f"{self._name.rpartition('/')[2]} is damaged: {error}") from None
        self._at = start + len(found)
        return found if self._only is None else found[:, self._only - 1 : self._only]

    def blocks(self, block: int = READ_BLOCK) -> Iterator[npt.NDArray[np.int16]]:
        """The whole file, `block` samples of each channel at a time."""
        for at in range(0, self.samples, block):
            yield self.read(at, min(at + block, self.samples))

    def channel(self, number: int = 1) -> "Channel":
        """One channel, counted from 1, as a source of samples."""
        return Channel(self, number)

    def close(self) -> None:
        self._sound.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Channel:
    """One channel of an open sound file, as `audio/source.Source`."""

    __slots__ = ("_file", "_index", "size")

    def __init__(self, file: SoundFile, number: int) -> None:
        self._file = file
        self._index = number - 1
        self.size = file.samples

    def __getitem__(self, part: slice, /) -> Samples:
        first, stop = bounds(part, self.size)
        return np.ascontiguousarray(self._file.read(first, stop)[:, self._index])


@contextmanager
def at_rate(sound: SoundFile, rate_hz: int) -> Iterator[Source]:
    """Channel 1 of `sound` at `rate_hz`; resampled into a temporary file unless that is its own rate."""
    if sound.rate_hz == rate_hz:
        yield sound.channel()
        return
    with tempfile.TemporaryFile() as copy:
        copy.write(wav.header(0xFFFF_FFFF, rate_hz))
        written = 0
        for block in rate_blocks(in_blocks(sound.channel(), READ_BLOCK), sound.rate_hz, rate_hz):
            copy.write(block.astype("<i2").tobytes())
            written += block.nbytes
        copy.seek(0)
        copy.write(wav.header(written, rate_hz))
        copy.seek(0)
        with SoundFile(copy, "a copy at another rate") as other:
            yield other.channel()


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """Samples [n, channels] of a short WAV of any kind as int16, and its rate in Hz. Raises AudioFileError."""
    with SoundFile(path.open("rb"), path.name) as file:
        return file.read(0, file.samples), file.rate_hz
