"""WAV heads: writing one that is valid at any instant while the file grows, and reading those of other programs.

Written heads are the plain 44 bytes: RIFF, a 16-byte `fmt ` chunk (PCM, 16 bits), `data`. The head is rewritten after each
append; `repaired_length` is for files whose writer died in between. No I/O here: heads are bytes, and files are a function
that reads at an offset. Follows Microsoft's "Multiple Channel Audio Data and WAVE Files"; RF64: EBU Tech 3306.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from callreel.domain.errors import AudioFileError

HEADER_BYTES = 44
PCM = 1
MULAW = 7
_EXTENSIBLE = 0xFFFE
_SAMPLE_BYTES = 2
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_U32 = 0xFFFF_FFFF
_STREAMED = 0x7FFF_0000
"""Writers that cannot seek back leave this length or more: 7FFFF000, 7FFFFFFF, FFFFFFFF."""
LOWEST_HZ, HIGHEST_HZ = 4_000, 192_000
_MOST_CHUNKS = 1_000
_MOST_CHANNELS = 1_024
_KNOWN = frozenset({b"fmt ", b"data", b"LIST", b"fact", b"bext", b"JUNK", b"cue ", b"smpl", b"id3 "})

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, count)`: the bytes at that offset, fewer at the end of the file."""


class WavError(AudioFileError):
    """Bytes that should be the head of a WAV file are not."""


@dataclass(frozen=True, slots=True)
class WavInfo:
    """The contents of a head. `format` is 1 for PCM, 7 for mu-law, others as in the file.

    `data_bytes` is the length in the head (`parse`) or in the file (`scan`). `missing_bytes` is how many bytes the file lacks
    according to the head; 0 for the placeholder lengths of streaming writers.
    """

    rate_hz: int
    channels: int
    bits: int
    format: int
    data_offset: int
    data_bytes: int
    missing_bytes: int = 0

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def duration_ms(self) -> int:
        return self.data_bytes * 1000 // (self.frame_bytes * self.rate_hz)


def header(data_bytes: int, rate_hz: int, channels: int = 1) -> bytes:
    """The 44 bytes before `data_bytes` of 16-bit PCM.

    Lengths have 32 bits: from 4 GiB (74 hours of 8 kHz mono) they stay at their maximum, which readers interpret as
    "to the end of the file". 16-bit data has an even length, so no pad byte follows.
    """
    return plain_head(WavInfo(rate_hz, channels, 8 * _SAMPLE_BYTES, PCM, HEADER_BYTES, data_bytes))


def plain_head(info: WavInfo) -> bytes:
    """A plain head of 44 bytes with the properties in `info`, for a file whose own head is misleading."""
    return _HEAD.pack(
        b"RIFF", min(info.data_bytes + HEADER_BYTES - 8, _MAX_U32), b"WAVE",
        b"fmt ", 16, info.format, info.channels, info.rate_hz, info.rate_hz * info.frame_bytes, info.frame_bytes, info.bits,
        b"data", min(info.data_bytes, _MAX_U32),
    )  # fmt: skip


def repaired_length(file_size: int, channels: int = 1) -> int:
    """The `data_bytes` of a file that we wrote, from its size: everything after the head, in whole sample frames."""
    frame_bytes = channels * _SAMPLE_BYTES
    return max(0, file_size - HEADER_BYTES) // frame_bytes * frame_bytes


def parse(head: bytes) -> WavInfo:
    """The contents of `head`, which must extend to the start of the data; in practice a few kB suffice.

    Raises WavError if it is not RIFF WAVE, has no usable `fmt `, or ends before the data.
    """
    return _walk(lambda at, count: head[at : at + count], len(head))


def scan(read_at: ReadAt, size_bytes: int) -> WavInfo:
    """The properties of a whole file of `size_bytes`, wherever its chunks are.

    A length that is 0, exceeds the file, or is a placeholder of streaming writers counts as "to the end of
    the file". Raises WavError as `parse` does.
    """
    info = _walk(read_at, size_bytes)
    there = size_bytes - info.data_offset
    claimed = info.data_bytes
    if claimed > there or (claimed == 0 and not _is_chunk(read_at(info.data_offset, 8), there)):
        whole = there // info.frame_bytes * info.frame_bytes
        return replace(
            info, data_bytes=whole, missing_bytes=0 if claimed >= _STREAMED else max(0, claimed - there)
        )
    return info


def _walk(read_at: ReadAt, size_bytes: int) -> WavInfo:
    """Skips unknown chunks, and reads the sub-format of WAVE_FORMAT_EXTENSIBLE."""
    head = read_at(0, 12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        raise WavError(f"expected a WAV file (RIFF ... WAVE), got {_shown(head)}")
    fmt: bytes | None = None
    long_bytes: int | None = None
    at = 12
    for _ in range(_MOST_CHUNKS):
        name_and_size = read_at(at, 8)
        if len(name_and_size) < 8:
            break
        name, size = struct.unpack("<4sI", name_and_size)
        if name == b"data":
            return _info(fmt, at + 8, long_bytes if size == _MAX_U32 and long_bytes is not None else size)
        if name == b"fmt ":
            fmt = read_at(at + 8, min(size, 40))
        if name == b"ds64" and len(sizes := read_at(at + 8, 16)) == 16:
            (long_bytes,) = struct.unpack_from("<Q", sizes, 8)
        at += 8 + size
        # Chunks are padded to even lengths, but some writers forget it.
        if size % 2 and read_at(at, 4) not in _KNOWN:
            at += 1
    raise WavError(f"expected a data chunk, but the WAV head ends after {size_bytes} bytes without one")


def _is_chunk(name_and_size: bytes, available: int) -> bool:
    """Whether another chunk or the end of the file is here, so that the data before it was empty."""
    if len(name_and_size) < 8:
        return True
    name, size = struct.unpack("<4sI", name_and_size)
    return name in _KNOWN and size <= available - 8


def _info(fmt: bytes | None, data_offset: int, data_bytes: int) -> WavInfo:
    if fmt is None or len(fmt) < 16:
        raise WavError("expected a fmt chunk of at least 16 bytes before the data, got none")
    format_tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if format_tag == _EXTENSIBLE and len(fmt) >= 26:
        # The first two bytes of the sub-format's GUID are the format tag proper.
        (format_tag,) = struct.unpack_from("<H", fmt, 24)
    if not 0 < channels <= _MOST_CHANNELS or not rate_hz or bits not in range(8, 72, 8):
        raise WavError(
            f"expected channels, a rate and whole bytes a sample, got {channels} x {rate_hz} Hz x {bits} bits"
        )
    if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise WavError(f"expected a rate of {LOWEST_HZ} to {HIGHEST_HZ} Hz, got {rate_hz} Hz")
    return WavInfo(rate_hz, channels, bits, format_tag, data_offset, data_bytes)


def _shown(head: bytes) -> str:
    return f"{len(head)} bytes beginning {head[:4]!r}" if head else "an empty file"
