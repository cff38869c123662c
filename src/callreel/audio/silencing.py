"""Silence in place of stretches of a WAV file: same length, same head, other samples. Works on bytes in any order.

Only uncompressed samples and the two telephone codecs have a known byte for silence; anything else is refused.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from callreel.audio.wav import MULAW, PCM, WavError, WavInfo
from callreel.domain.intervals import Interval, merged

_FLOAT, _ALAW = 3, 6
_SILENT: Final = {MULAW: 0xFF, _ALAW: 0xD5, _FLOAT: 0x00}


def silent_byte(info: WavInfo) -> int:
    """The byte of which silence consists. Raises WavError for a format without one."""
    if info.format == PCM:
        return 0x80 if info.bits == 8 else 0x00  # 8-bit samples are unsigned
    if info.format not in _SILENT:
        raise WavError(f"expected uncompressed samples, got WAV format {info.format}")
    return _SILENT[info.format]


def byte_ranges(info: WavInfo, intervals: Sequence[Interval]) -> list[tuple[int, int]]:
    """The bytes of the file that hold these intervals: offsets of the first and of the one after the last."""

    def place(ms: int, up: int) -> int:
        return info.data_offset + (max(0, ms) * info.rate_hz + up) // 1000 * info.frame_bytes

    return [(place(first, 0), place(last, 999)) for first, last in merged(intervals) if last > 0]


def silenced(
    blocks: Iterable[bytes], start: int, ranges: Sequence[tuple[int, int]], value: int
) -> Iterator[bytes]:
    """`blocks` of a file from byte `start` on, with `value` in the byte `ranges`."""
    for block in blocks:
        stop = start + len(block)
        cuts = [
            (max(first, start), min(last, stop)) for first, last in ranges if first < stop and last > start
        ]
        if cuts:
            changed = bytearray(block)
            for first, last in cuts:
                changed[first - start : last - start] = bytes([value]) * (last - first)
            block = bytes(changed)
        yield block
        start = stop
