"""Converts a WAV, MP3, FLAC or OGG file to the 16-bit WAV file that Callreel stores, block by block.

The file comes from outside: one that is truncated, damaged, too long or has other than one or two channels is refused with
one line. With `silent_channel` a file of one party gets a second, silent channel, so that it is one of two.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from callreel.audio import wav
from callreel.domain.errors import AudioFileError
from callreel.imports.imported_calls import Sound
from callreel.store.files.blobs import BlobInfo, BlobStore
from callreel.store.files.sound_files import SoundFile

ENDINGS: Final = (".wav", ".mp3", ".flac", ".ogg")
LONGEST_HOURS: Final = 24
_HASH_BLOCK: Final = 1 << 20
_OGG_TAIL: Final = 1 << 17
"""An Ogg page has at most 65,307 bytes (RFC 3533), so the last one begins within this many bytes of the end."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file from outside: its open bytes, size and digest. Close `file`."""

    name: str
    file: BinaryIO
    size_bytes: int
    sha256: str


def open_source(path: Path, name: str) -> SourceFile:
    """Open a regular file and read its digest. Raises AudioFileError; `name` is for messages."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise AudioFileError(f"cannot be opened: {error.strerror}") from None
    file = os.fdopen(fd, "rb")
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise AudioFileError("is not a regular file")
        digest = hashlib.sha256()
        size = 0
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
            size += len(block)
        file.seek(0)
    except OSError as error:
        file.close()
        raise AudioFileError(f"cannot be read: {error.strerror}") from None
    except AudioFileError:
        file.close()
        raise
    return SourceFile(name, file, size, digest.hexdigest())


def open_sound(source: SourceFile) -> SoundFile:
    """The source's samples. Raises AudioFileError; closes the source then, as closing the sound does."""
    try:
        _refuse_truncated(source)
        source.file.seek(0)
        sound = SoundFile(source.file, source.name)
    except (AudioFileError, OSError) as error:
        source.file.close()
        raise AudioFileError(str(error)) from None
    problem = _problem(sound)
    if problem:
        sound.close()
        raise AudioFileError(problem)
    return sound


def sound_of(sound: SoundFile, silent_channel: int | None = None) -> Sound:
    """The format in which the sound is stored."""
    channels = 2 if silent_channel else sound.channels
    return Sound(sound.rate_hz, channels, sound.duration_ms)


def store(blobs: BlobStore, key: str, sound: SoundFile, silent_channel: int | None = None) -> BlobInfo:
    """Store the sound as a WAV file under `key`; storing the same again changes nothing. Raises AudioFileError, StoreError.

    `silent_channel`, 1 or 2, is added to a sound of one channel.
    """
    channels = 2 if silent_channel else sound.channels
    expected, written = sound.samples, 0
    with blobs.open_writer(key) as writer:
        writer.write(wav.header(expected * channels * 2, sound.rate_hz, channels))
        for block in _blocks(sound):
            written += len(block)
            writer.write(_laid_out(block, silent_channel).astype("<i2").tobytes())
        if written != expected:
            raise AudioFileError(
                f"is truncated: it ends after {written / sound.rate_hz:.1f} of {expected / sound.rate_hz:.1f} s"
            )
        return writer.commit()


def _blocks(sound: SoundFile) -> Iterator[npt.NDArray[np.int16]]:
    for block in sound.blocks():
        if not len(block):
            return
        yield block


def _laid_out(block: npt.NDArray[np.int16], silent_channel: int | None) -> npt.NDArray[np.int16]:
    if silent_channel is None:
        return block
    both = np.zeros((len(block), 2), np.int16)
    both[:, 2 - silent_channel] = block[:, 0]
    return both


def _problem(sound: SoundFile) -> str:
    if sound.channels > 2:
        return f"has {sound.channels} channels, expected one or two"
    if not sound.samples:
        return "contains no samples"
    if sound.samples > LONGEST_HOURS * 3_600 * sound.rate_hz:
        return f"is longer than {LONGEST_HOURS} hours"
    return ""


def _refuse_truncated(source: SourceFile) -> None:
    """What libsndfile does not notice: a WAV file shorter than its head says, and an Ogg stream without its last page."""
    file = source.file

    def read_at(at: int, count: int) -> bytes:
        file.seek(at)
        return file.read(count)

    head = read_at(0, 4)
    if head == b"OggS":
        tail = read_at(max(0, source.size_bytes - _OGG_TAIL), _OGG_TAIL)
        last = tail.rfind(b"OggS")
        if last < 0 or len(tail) < last + 6 or not tail[last + 5] & 4:  # RFC 3533, section 6: end of stream
            raise AudioFileError("is truncated: its last page is missing")
        return
    try:
        info = wav.scan(read_at, source.size_bytes)
    except wav.WavError:
        return  # another kind of file; libsndfile says what it is
    if info.missing_bytes:
        raise AudioFileError(f"is truncated: {info.missing_bytes} bytes are missing")
