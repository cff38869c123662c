"""The waveform of a layer: the largest amplitude of each short stretch, for drawing a call without decoding it.

Files are read piece by piece, so a call of hours takes no more memory than its peaks. What was made of a finished file
is kept beside it under a name that holds the file's digest, and is not made again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from callreel.audio.levels import peaks
from callreel.domain.call import Role, Topology
from callreel.domain.errors import AudioFileError, CallreelError
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.blobs import BlobStore

BLOCK = 1 << 17
"""Samples that are read at once."""
MOST_PER_SECOND = 100


class PeaksError(CallreelError):
    """A resolution that the layer's rate does not allow."""


@dataclass(frozen=True, slots=True)
class FilePeaks:
    """`channels` [channels][stretches], 0 to 1 with three decimals."""

    duration_ms: int
    channels: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ChannelPeaks:
    """One party's; `role` None when both are on one channel."""

    role: Role | None
    peaks: tuple[float, ...]


def layer_peaks(
    blobs: BlobStore, files: Sequence[LayerFile], layer: Layer, topology: Topology, per_second: int
) -> tuple[int, list[ChannelPeaks]] | None:
    """How long the layer is in milliseconds, and the peaks of each party; None when there is no such layer.

    Raises PeaksError for a resolution that does not divide the rate, AudioFileError for a file that cannot be read.
    """
    found: list[tuple[int, ChannelPeaks]] = []
    for file in _longest(files, layer):
        made = file_peaks(blobs, file, per_second)
        roles = _roles(file, topology)
        found += [(made.duration_ms, ChannelPeaks(*pair)) for pair in zip(roles, made.channels, strict=True)]
    if not found:
        return None
    found.sort(key=lambda pair: pair[1].role or "")
    return max(duration_ms for duration_ms, _ in found), [channel for _, channel in found]


def file_peaks(blobs: BlobStore, file: LayerFile, per_second: int) -> FilePeaks:
    """The peaks of one file, made or as they were kept."""
    if not 1 <= per_second <= MOST_PER_SECOND or file.rate_hz % per_second:
        raise PeaksError(f"expected a divisor of {file.rate_hz} up to {MOST_PER_SECOND}, got {per_second}")
    if file.sha256 is None or file.state is LayerState.RECORDING:
        return _read(blobs.path(file.path), per_second)
    key = f"{file.path}.{file.sha256[:16]}.{per_second}.peaks.json"
    if blobs.stat(key) is None:
        made = _read(blobs.path(file.path), per_second)
        kept = json.dumps({"duration_ms": made.duration_ms, "channels": made.channels}, separators=(",", ":"))
        blobs.put(key, [kept.encode()])
        return made
    read = json.loads(b"".join(blobs.open_range(key)))
    return FilePeaks(read["duration_ms"], tuple(map(tuple, read["channels"])))


def _read(path: Path, per_second: int) -> FilePeaks:
    try:
        with soundfile.SoundFile(path) as sound:
            stretch = sound.samplerate // per_second
            size = stretch * max(1, BLOCK // stretch)
            made = [_of_block(block, stretch) for block in sound.blocks(size, dtype="int16", always_2d=True)]
            duration_ms = sound.frames * 1000 // sound.samplerate
            empty = np.zeros((0, sound.channels))
    except (soundfile.LibsndfileError, OSError):
        raise AudioFileError(f"{path.name} should be a WAV file and cannot be read as one") from None
    whole = np.concatenate(made) if made else empty
    return FilePeaks(duration_ms, tuple(tuple(channel) for channel in whole.T.round(3).tolist()))


def _of_block(block: npt.NDArray[np.int16], stretch: int) -> npt.NDArray[np.float64]:
    """Largest amplitude [stretches, channels] of samples [n, channels]."""
    channels = (peaks(block[:, channel], stretch).astype(np.int32) for channel in range(block.shape[1]))
    return np.stack([np.abs(both).max(axis=1) / 32_768 for both in channels], axis=1)


def _longest(files: Sequence[LayerFile], layer: Layer) -> list[LayerFile]:
    """One file a role."""
    longest: dict[Role | None, LayerFile] = {}
    for file in files:
        if file.layer is layer and (
            file.role not in longest or file.duration_ms > longest[file.role].duration_ms
        ):
            longest[file.role] = file
    return list(longest.values())


def _roles(file: LayerFile, topology: Topology) -> list[Role | None]:
    if file.role is not None or file.channels == 1:
        return [file.role] * file.channels
    return [topology.role_of_channel(channel) for channel in range(1, file.channels + 1)]
