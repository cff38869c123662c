"""A layer's audio with redacted intervals silenced, made while it is read: no copy is stored, and none gets out of date."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from callreel.audio import wav
from callreel.audio.silencing import byte_ranges, silenced, silent_byte
from callreel.domain.intervals import Interval, merged
from callreel.domain.recording import LayerFile
from callreel.store.audio.layer_audio import layer_range
from callreel.store.audio.peaks import ChannelPeaks
from callreel.store.files.blobs import BlobStore

_HEAD_BYTES = 4096


def silenced_range(
    blobs: BlobStore, file: LayerFile, start: int, stop: int, intervals: Sequence[Interval]
) -> Iterator[bytes]:
    """Bytes `start` to `stop` of the layer's WAV file, silent in `intervals`. Raises StoreError, AudioFileError at once."""
    if not intervals:
        return layer_range(blobs, file, start, stop)
    info = wav.parse(b"".join(layer_range(blobs, file, 0, min(_HEAD_BYTES, file.size_bytes))))
    ranges, value = byte_ranges(info, intervals), silent_byte(info)
    return silenced(layer_range(blobs, file, start, stop), start, ranges, value)


def silenced_tag(file: LayerFile, intervals: Sequence[Interval]) -> str:
    """A digest that names this form of a finished file."""
    made = hashlib.sha256(f"{file.sha256} {merged(intervals)}".encode())
    return file.sha256 or "" if not intervals else made.hexdigest()


def silenced_peaks(
    channels: Sequence[ChannelPeaks], per_second: int, intervals: Sequence[Interval]
) -> list[ChannelPeaks]:
    """The waveform without sound in `intervals`."""
    if not intervals:
        return list(channels)

    def peaks(values: Sequence[float]) -> tuple[float, ...]:
        made = list(values)
        for first, last in merged(intervals):
            span = range(max(0, first * per_second // 1000), min(len(made), -(-last * per_second // 1000)))
            for at in span:
                made[at] = 0.0
        return tuple(made)

    return [replace(channel, peaks=peaks(channel.peaks)) for channel in channels]
