"""Waveforms: the peak amplitude of each short stretch of a layer, for drawing a call without decoding it.

Files are read in blocks, so a call of hours needs only the memory of its peaks. The peaks of a finished file are cached
under its digest.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from callreel.audio.levels import peaks
from callreel.domain.call import Role, Topology
from callreel.domain.errors import CallreelError, StoreUnavailableError
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.audio.layer_audio import open_layer
from callreel.store.files.blobs import BlobStore

FOLDER = "peaks"
MAX_PER_SECOND = 100
DEFAULT_PER_SECOND = 20
"""The resolution of the pages, computed already when a recording is split."""

log = logging.getLogger(__name__)


class PeaksError(CallreelError):
    """A resolution that the layer's rate does not allow."""


@dataclass(frozen=True, slots=True)
class FilePeaks:
    """`channels` [channels][stretches], 0 to 1 with three decimals."""

    duration_ms: int
    channels: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ChannelPeaks:
    """The peaks of one party; `role` is None if both are on one channel."""

    role: Role | None
    peaks: tuple[float, ...]


def layer_peaks(
    blobs: BlobStore, files: Sequence[LayerFile], layer: Layer, topology: Topology, per_second: int
) -> tuple[int, list[ChannelPeaks]] | None:
    """The layer's duration in milliseconds and the peaks of each party; None if there is no such layer.

    Raises PeaksError for a resolution that does not divide the rate, AudioFileError for a file that cannot be read.
    """
    found: dict[Role | None, tuple[float, ...]] = {}
    duration_ms = 0
    for file in _at_hand(blobs, files, layer):
        made = file_peaks(blobs, file, per_second)
        duration_ms = max(duration_ms, made.duration_ms)
        for role, channel in zip(_roles(file, topology), made.channels, strict=True):
            # Of several files of a role, each is silent where another one has audio (`ingest/handover.py`).
            both = zip_longest(found.get(role, ()), channel, fillvalue=0.0)
            found[role] = tuple(max(pair) for pair in both)
    if not found:
        return None
    return duration_ms, [ChannelPeaks(role, found[role]) for role in sorted(found, key=lambda r: r or "")]


def file_peaks(blobs: BlobStore, file: LayerFile, per_second: int) -> FilePeaks:
    """The peaks of one file, from the cache or computed."""
    if not 1 <= per_second <= MAX_PER_SECOND or file.rate_hz % per_second:
        raise PeaksError(f"expected a divisor of {file.rate_hz} up to {MAX_PER_SECOND}, got {per_second}")
    if file.sha256 is None or file.state is LayerState.RECORDING:
        return _read(blobs, file, per_second)
    key = _key(file.sha256, per_second)
    if blobs.stat(key) is None:
        made = _read(blobs, file, per_second)
        save_peaks(blobs, file.sha256, per_second, made)
        return made
    read = json.loads(b"".join(blobs.open_range(key)))
    return FilePeaks(read["duration_ms"], tuple(map(tuple, read["channels"])))


def save_peaks(blobs: BlobStore, sha256: str, per_second: int, made: FilePeaks) -> None:
    """Cache the peaks of the file with this digest; on the spool while the object store is unavailable."""
    kept = json.dumps({"duration_ms": made.duration_ms, "channels": made.channels}, separators=(",", ":"))
    try:
        blobs.put(_key(sha256, per_second), [kept.encode()])
    except StoreUnavailableError as error:
        log.info("waveform left on the spool: %s", error)


def delete(blobs: BlobStore, sha256: str) -> None:
    """Delete all peaks of the file with this digest."""
    folder = f"{FOLDER}/{sha256}"
    cached = {blob.key for blob in blobs.local_files(folder)}
    if blobs.objects is not None:
        cached |= {found.key for found in blobs.objects.list_folder(folder)}
    for key in cached:
        blobs.delete(key)


def _key(sha256: str, per_second: int) -> str:
    return f"{FOLDER}/{sha256}/{per_second}.json"


class PeakBuilder:
    """Computes peaks from blocks of samples of any length."""

    def __init__(self, rate_hz: int, channels: int, per_second: int) -> None:
        """`per_second` divides `rate_hz`."""
        self._rate_hz = rate_hz
        self._stretch = rate_hz // per_second
        self._rest = np.zeros((0, channels), np.int16)
        self._made: list[npt.NDArray[np.float64]] = [np.zeros((0, channels))]
        self._samples = 0

    def push(self, block: npt.NDArray[np.int16]) -> None:
        """The next samples [n, channels]."""
        self._samples += len(block)
        block = np.concatenate([self._rest, block]) if len(self._rest) else block
        whole = len(block) // self._stretch * self._stretch
        self._made.append(_of_block(block[:whole], self._stretch))
        self._rest = block[whole:].copy()

    def finish(self) -> FilePeaks:
        self._made.append(_of_block(self._rest, self._stretch))
        whole = np.concatenate(self._made)
        duration_ms = self._samples * 1000 // self._rate_hz
        return FilePeaks(duration_ms, tuple(tuple(channel) for channel in whole.T.round(3).tolist()))


def _read(blobs: BlobStore, file: LayerFile, per_second: int) -> FilePeaks:
    with open_layer(blobs, file) as sound:
        drawing = PeakBuilder(sound.rate_hz, sound.channels, per_second)
        for block in sound.blocks():
            drawing.push(block)
    return drawing.finish()


def _of_block(block: npt.NDArray[np.int16], stretch: int) -> npt.NDArray[np.float64]:
    """Largest amplitude [stretches, channels] of samples [n, channels]."""
    channels = (peaks(block[:, channel], stretch).astype(np.int32) for channel in range(block.shape[1]))
    return np.stack([np.abs(both).max(axis=1) / 32_768 for both in channels], axis=1)


def _at_hand(blobs: BlobStore, files: Sequence[LayerFile], layer: Layer) -> list[LayerFile]:
    """The layer's files that are available here, or else all of them."""
    wanted = [file for file in files if file.layer is layer]
    return [file for file in wanted if blobs.stat(file.path) is not None] or wanted


def _roles(file: LayerFile, topology: Topology) -> list[Role | None]:
    if file.role is not None or file.channels == 1:
        return [file.role] * file.channels
    return [topology.role_of_channel(channel) for channel in range(1, file.channels + 1)]
