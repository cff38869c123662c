"""A limit on the size of files makes writes fail, like a full disk."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from callreel.store.files.growing_wav import GrowingWav, RetryingWav

RATE_HZ = 8_000


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file grows beyond `size_bytes` meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def audio(number: int, size: int = 800) -> npt.NDArray[np.int16]:
    return np.random.default_rng(number).integers(-9_000, 9_000, size).astype(np.int16)


def kept(path: Path) -> npt.NDArray[np.int16]:
    samples: npt.NDArray[np.int16] = soundfile.read(path, dtype="int16")[0]
    return samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "layer.wav"


def test_temporarily_full_disk_loses_no_audio(path: Path) -> None:
    blocks = [audio(number) for number in range(6)]
    wav = RetryingWav(GrowingWav.open(path, RATE_HZ))
    wav.append(blocks[0])
    with full_disk(path.stat().st_size + 100):
        for block in blocks[1:4]:
            wav.append(block)
        assert wav.error is not None
        assert wav.samples == 4 * 800, "positions advance"
        np.testing.assert_array_equal(kept(path), blocks[0])  # still playable
    wav.append(blocks[4])
    wav.append(blocks[5])
    wav.close()
    assert wav.lost_samples == 0
    np.testing.assert_array_equal(kept(path), np.concatenate(blocks))


def test_audio_beyond_the_backlog_becomes_silence(path: Path) -> None:
    blocks = [audio(number) for number in range(6)]
    wav = RetryingWav(GrowingWav.open(path, RATE_HZ), max_backlog_s=0.2)
    wav.append(blocks[0])
    with full_disk(path.stat().st_size):
        for block in blocks[1:5]:
            wav.append(block)
    wav.append(blocks[5])
    wav.close()
    silence = np.zeros(2 * 800, np.int16)  # two blocks fit into 0.2 s, the two after them do not
    np.testing.assert_array_equal(kept(path), np.concatenate([*blocks[:3], silence, blocks[5]]))
    assert wav.lost_samples == 2 * 800


def test_permanently_full_disk_leaves_a_valid_file(path: Path) -> None:
    wav = RetryingWav(GrowingWav.open(path, RATE_HZ))
    wav.append(audio(0))
    with full_disk(path.stat().st_size):
        wav.append(audio(1))
        wav.close()
    assert wav.lost_samples == 800
    np.testing.assert_array_equal(kept(path), audio(0))


def test_without_errors_it_writes_through(path: Path) -> None:
    wav = RetryingWav(GrowingWav.open(path, RATE_HZ))
    for number in range(3):
        wav.append(audio(number))
    wav.close()
    assert (wav.error, wav.lost_samples) == (None, 0)
    np.testing.assert_array_equal(kept(path), np.concatenate([audio(number) for number in range(3)]))
