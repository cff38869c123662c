"""The head of a WAV file: one that is valid at any instant while the file grows, and a reader of other people's.

Written heads are the plain 44 bytes: RIFF, a 16-byte `fmt ` chunk (PCM, 16 bits), `data`. Whoever appends samples
rewrites the head after them; `repaired_length` is for files whose writer died in between.
No I/O here: heads are bytes. Follows Microsoft's "Multiple Channel Audio Data and WAVE Files".
"""

import struct
from dataclasses import dataclass

from callreel.domain.errors import AudioFileError

HEADER_BYTES = 44
PCM = 1
MULAW = 7
_EXTENSIBLE = 0xFFFE
_SAMPLE_BYTES = 2
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_U32 = 0xFFFF_FFFF


class WavError(AudioFileError):
    """Bytes that should be the head of a WAV file are not."""


@dataclass(frozen=True, slots=True)
class WavInfo:
    """What a head says. `format` is 1 for PCM, 7 for mu-law, others as the file has them.

    `data_bytes` is what the head claims, which may be more than the file holds, or 0 while it is still written.
    """

    rate_hz: int
    channels: int
    bits: int
    format: int
    data_offset: int
    data_bytes: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def duration_ms(self) -> int:
        return self.data_bytes * 1000 // (self.frame_bytes * self.rate_hz)


def header(data_bytes: int, rate_hz: int, channels: int = 1) -> bytes:
    """The 44 bytes before `data_bytes` of 16-bit PCM.

    Lengths are 32 bits: from 4 GiB on (74 hours of 8 kHz mono) they stay at their maximum, which readers take for
    "to the end of the file". 16-bit data has an even length, so no pad byte follows.
    """
    frame_bytes = channels * _SAMPLE_BYTES
    return _HEAD.pack(
        b"RIFF",
        min(data_bytes + HEADER_BYTES - 8, _MAX_U32),
        b"WAVE",
        b"fmt ",
        16,
        PCM,
        channels,
        rate_hz,
        rate_hz * frame_bytes,
        frame_bytes,
        8 * _SAMPLE_BYTES,
        b"data",
        min(data_bytes, _MAX_U32),
    )


def repaired_length(file_size: int, channels: int = 1) -> int:
    """The `data_bytes` of a file of ours that is `file_size` long: what follows the head, in whole sample frames."""
    frame_bytes = channels * _SAMPLE_BYTES
    return max(0, file_size - HEADER_BYTES) // frame_bytes * frame_bytes


def parse(head: bytes) -> WavInfo:
    """What `head` says, which must reach to the start of the data; a few kB do for any file met in practice.

    Chunks we do not know (LIST, fact, JUNK) are passed over, WAVE_FORMAT_EXTENSIBLE is looked into.
    Raises WavError if it is not RIFF WAVE, has no usable `fmt `, or ends before the data.
    """
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise WavError(f"expected a WAV file (RIFF ... WAVE), got {_shown(head)}")
    fmt: bytes | None = None
    at = 12
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            return _info(fmt, at + 8, size)
        if name == b"fmt ":
            fmt = head[at + 8 : at + 8 + size]
        at += 8 + size + size % 2  # chunks are padded to even lengths
    raise WavError(f"expected a data chunk, the WAV head ends after {len(head)} bytes without one")


def _info(fmt: bytes | None, data_offset: int, data_bytes: int) -> WavInfo:
    if fmt is None or len(fmt) < 16:
        raise WavError("expected a fmt chunk of at least 16 bytes before the data, got none")
    format_tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if format_tag == _EXTENSIBLE and len(fmt) >= 26:
        # The first two bytes of the sub-format's GUID are the format tag proper.
        (format_tag,) = struct.unpack_from("<H", fmt, 24)
    if not channels or not rate_hz or bits < 8 or bits % 8:
        raise WavError(
            f"expected channels, a rate and whole bytes a sample, got {channels} x {rate_hz} Hz x {bits} bits"
        )
    return WavInfo(rate_hz, channels, bits, format_tag, data_offset, data_bytes)


def _shown(head: bytes) -> str:
    return f"{len(head)} bytes beginning {head[:4]!r}" if head else "an empty file"
