"""Readers of finished audio files, WAV of any kind and FLAC, block by block, for local files and objects alike.

Samples come as 16 bits; memory holds only the requested ones; `read_wav` is for short files. libsndfile reads the samples.
If a WAV head misleads it (no or a wrong length, RF64, chunks without padding), it gets a plain head instead.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import soundfile

from callreel.audio import wav
from callreel.audio.resample import rate_blocks
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.audio.source import Source, bounds, in_blocks
from callreel.domain.errors import AudioFileError
from callreel.store.files.positioned_file import PositionedFile
from callreel.store.files.scratch import ScratchFile

READ_BLOCK = 1 << 17
"""Samples of each channel that are read at once."""


class SoundFile:
    """An open audio file, for one thread. `close` also closes the given file.

    Raises AudioFileError if it is not an audio file, or has a rate outside of 4 to 192 kHz.
    """

    def __init__(self, file: BinaryIO, name: str, *, only: int | None = None) -> None:
        """`only` selects one channel, counted from 1."""
        self._file = file
        self._only = only
        self._name = name
        try:
            self._sound = _opened(file)
        except (soundfile.LibsndfileError, TypeError):
            file.close()
            raise AudioFileError(f"{self._shown} is not a sound file that can be read") from None
        self.rate_hz: int = self._sound.samplerate
        if not wav.LOWEST_HZ <= self.rate_hz <= wav.HIGHEST_HZ:
            self.close()
            raise AudioFileError(
                f"expected {wav.LOWEST_HZ} to {wav.HIGHEST_HZ} Hz in {self._shown}, found {self.rate_hz} Hz"
            )
        self.channels: int = self._sound.channels if only is None else 1
        self.samples: int = self._sound.frames
        """Of each channel."""
        self._is_float = self._sound.subtype in ("FLOAT", "DOUBLE")
        self._at = 0

    @property
    def _shown(self) -> str:
        return self._name.rpartition("/")[2]

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz

    def read(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        """Samples [stop - start, channels]; fewer at the end of the file. Raises AudioFileError."""
        try:
            if start != self._at:
                self._sound.seek(start)
            # libsndfile does not scale floats to integers: all of a voice would become 0 (python-soundfile issue 145).
            kind = "float32" if self._is_float else "int16"
            found = self._sound.read(stop - start, dtype=kind, always_2d=True)
        except soundfile.LibsndfileError as error:
            self._at = -1
            raise AudioFileError(f"{self._shown} is damaged: {error}") from None
        self._at = start + len(found)
        samples: npt.NDArray[np.int16] = _from_floats(found) if self._is_float else found
        return samples if self._only is None else samples[:, self._only - 1 : self._only]

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


def _opened(file: BinaryIO) -> soundfile.SoundFile:
    """`file` in libsndfile, with another head where it would find other samples than the file holds."""
    size = file.seek(0, io.SEEK_END)

    def read_at(at: int, count: int) -> bytes:
        file.seek(at)
        return file.read(count)

    try:
        info = wav.scan(read_at, size)
    except AudioFileError:
        info = None  # not a WAV file, or one of a compressed kind
    file.seek(0)
    try:
        sound = soundfile.SoundFile(file)
        if info is None or sound.frames * info.frame_bytes == info.data_bytes:
            return sound
        sound.close()
    except soundfile.LibsndfileError:
        if info is None:
            raise
    return soundfile.SoundFile(_Reheaded(file, wav.plain_head(info), info))


class _Reheaded(PositionedFile):
    """The samples of a WAV file behind another head. Its owner closes the file."""

    def __init__(self, file: BinaryIO, head: bytes, info: wav.WavInfo) -> None:
        super().__init__(len(head) + info.data_bytes)
        self._file = file
        self._head = head
        self._offset = info.data_offset - len(head)

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self.size_bytes - self._at)
        found = self._head[self._at : self._at + wanted]
        if len(found) < wanted:
            self._file.seek(self._at + len(found) + self._offset)
            found += self._file.read(wanted - len(found))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def _from_floats(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Full scale is 1.0; larger values are clipped, and NaN becomes silence."""
    wide = np.rint(np.nan_to_num(samples, posinf=1.0, neginf=-1.0) * np.float32(32_768))
    scaled: npt.NDArray[np.int16] = np.clip(wide, -32_768, 32_767).astype(np.int16)
    return scaled


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
def at_telephone_rate(sound: SoundFile, number: int) -> Iterator[Source]:
    """Channel `number` of `sound` at 8 kHz; resampled into a temporary file unless that is its own rate."""
    channel = sound.channel(number)
    if sound.rate_hz == TELEPHONE_HZ:
        yield channel
        return
    with ScratchFile() as copy:
        copy.write(wav.header(0xFFFF_FFFF, TELEPHONE_HZ))
        written = 0
        for block in rate_blocks(in_blocks(channel, READ_BLOCK), sound.rate_hz, TELEPHONE_HZ):
            copy.write(block.astype("<i2").tobytes())
            written += block.nbytes
        copy.seek(0)
        copy.write(wav.header(written, TELEPHONE_HZ))
        copy.seek(0)
        with SoundFile(io.BufferedRandom(copy, READ_BLOCK), "a copy at another rate") as other:
            yield other.channel()


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """Samples [n, channels] of a short WAV of any kind as int16, and its rate in Hz. Raises AudioFileError."""
    with SoundFile(path.open("rb"), path.name) as file:
        return file.read(0, file.samples), file.rate_hz
