import numpy as np
import pytest

from callreel.audio.envelope import FLOOR_RMS, block_rms, sound_threshold
from tests.audio.voices import noisy, voice


def test_rms_is_of_whole_blocks() -> None:
    samples = np.array([3, -3, 3, 3, 5, 5, 5, -5, 9], np.int16)
    assert block_rms(samples, 4).tolist() == [3.0, 5.0]
    assert block_rms(samples[:3], 4).size == 0


def test_result_is_independent_of_block_sizes() -> None:
    samples = np.tile(voice(20), 7)
    assert np.array_equal(block_rms(samples, 80), np.tile(block_rms(voice(20), 80), 7))


@pytest.mark.parametrize("rms", [np.zeros(0, np.float32), np.zeros(9, np.float32)])
def test_silence_has_the_floor_for_a_threshold(rms: np.ndarray) -> None:
    assert sound_threshold(rms) == FLOOR_RMS


def test_a_voice_stands_out_of_its_background() -> None:
    background = block_rms(noisy(np.zeros(80_000, np.int16) + 1, -43), 80)  # some -49 dBFS of noise
    mixed = block_rms(noisy(voice(10), 20), 80)
    assert background.mean() < sound_threshold(mixed) < np.percentile(mixed, 80)


def test_a_recording_of_nothing_but_noise_is_no_silence() -> None:
    noise = block_rms(noisy(np.full(80_000, 1_000, np.int16), 0), 80)
    assert np.all(noise > sound_threshold(noise))


def test_a_background_from_elsewhere_raises_the_threshold() -> None:
    rms = block_rms(voice(10), 80)
    assert sound_threshold(rms, background=50) == 150
