"""Waveforms from files, also a long one."""

import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from callreel.audio import wav
from callreel.domain.call import Role, Topology
from callreel.domain.errors import AudioFileError, StoreError
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.audio.peaks import PeaksError, file_peaks, layer_peaks
from callreel.store.files.blobs import BlobStore

OUTGOING = Topology(inbound=Role.AGENT)


def layer(
    path: str, *, role: Role | None = None, channels: int = 1, sha256: str | None = "ab" * 32
) -> LayerFile:
    kind = Layer.CLOUD if role is None else Layer.LIVE_8K
    state = LayerState.RECORDING if sha256 is None else LayerState.CLOSED
    return LayerFile(kind, role, path, 8000, channels, 1000, 1, sha256, state)


def keep(blobs: BlobStore, path: str, samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    channels = samples.shape[1] if samples.ndim == 2 else 1
    blobs.put(path, [wav.header(samples.nbytes, 8000, channels=channels), samples.astype("<i2").tobytes()])


def test_peaks_are_the_maxima_of_each_stretch(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    samples = np.zeros(1000, np.int16)
    samples[10], samples[410], samples[999] = 16_384, -32_768, 33
    keep(blobs, "a.wav", samples)
    made = file_peaks(blobs, layer("a.wav", role=Role.AGENT), 20)
    assert (made.duration_ms, made.channels) == (125, ((0.5, 1.0, 0.001),))
    assert file_peaks(blobs, layer("a.wav", role=Role.AGENT), 20) == made


def test_channels_map_to_roles(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    keep(blobs, "both.wav", np.stack([np.full(800, 16_384), np.zeros(800)], axis=1).astype(np.int16))
    files = [layer("both.wav", channels=2)]
    for topology, first in ((OUTGOING, 0.5), (Topology(inbound=Role.TECHNICIAN), 0.0)):
        found = layer_peaks(blobs, files, Layer.CLOUD, topology, 10)
        assert found is not None
        duration_ms, channels = found
        assert duration_ms == 100
        assert [(channel.role, channel.peaks[0]) for channel in channels] == [
            (Role.AGENT, first),
            (Role.TECHNICIAN, 0.5 - first),
        ]
    assert layer_peaks(blobs, files, Layer.LIVE_8K, OUTGOING, 10) is None


def test_parts_of_a_layer_are_combined(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    keep(blobs, "first.wav", np.full(800, 16_384, np.int16))
    keep(blobs, "then.wav", np.concatenate([np.zeros(800), np.full(800, 8_192)]).astype(np.int16))
    names = ("first", "then", "on-another-machine")
    files = [layer(f"{name}.wav", role=Role.AGENT, sha256=f"{n}" * 64) for n, name in enumerate(names)]
    found = layer_peaks(blobs, files, Layer.LIVE_8K, OUTGOING, 10)
    assert found is not None
    assert found[0] == 200 and [channel.peaks for channel in found[1]] == [(0.5, 0.25)]


def test_mono_recording_has_no_role(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    keep(blobs, "mono.wav", np.zeros(800, np.int16))
    found = layer_peaks(blobs, [layer("mono.wav")], Layer.CLOUD, OUTGOING, 10)
    assert found is not None and [channel.role for channel in found[1]] == [None]


def test_peaks_of_a_changed_layer_are_recomputed(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    keep(blobs, "a.wav", np.full(800, 16_384, np.int16))
    first = file_peaks(blobs, layer("a.wav", role=Role.AGENT), 10)
    keep_over = blobs.path("a.wav")
    keep_over.unlink()
    keep(blobs, "a.wav", np.full(800, 8_192, np.int16))
    assert file_peaks(blobs, layer("a.wav", role=Role.AGENT), 10) == first
    changed = layer("a.wav", role=Role.AGENT, sha256="cd" * 32)
    assert file_peaks(blobs, changed, 10).channels == ((0.25,),)


def test_invalid_resolutions_and_files_raise(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blobs.put("no.wav", [b"no audio"])
    with pytest.raises(AudioFileError):
        file_peaks(blobs, layer("no.wav", role=Role.AGENT), 20)
    with pytest.raises(StoreError):
        file_peaks(blobs, layer("gone.wav", role=Role.AGENT), 20)
    for per_second in (0, 7, 101, -20):
        with pytest.raises(PeaksError):
            file_peaks(blobs, layer("no.wav", role=Role.AGENT), per_second)


def test_two_hours_need_only_the_memory_of_their_peaks(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    seconds = 2 * 3600

    def chunks() -> Iterator[bytes]:
        yield wav.header(seconds * 8000 * 4, 8000, channels=2)
        minute = (20_000 * np.sin(np.arange(8000 * 60) * math.tau / 80)).astype("<i2")
        block = np.stack([minute, minute // 2], axis=1).tobytes()
        for _ in range(seconds // 60):
            yield block

    blobs.put("long.wav", chunks())
    tracemalloc.start()
    made = file_peaks(blobs, layer("long.wav", channels=2), 20)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.duration_ms == seconds * 1000
    assert [len(channel) for channel in made.channels] == [seconds * 20] * 2
    assert set(made.channels[0]) == {0.61}
    assert most_bytes < 60_000_000  # the file has 230 MB
