import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from callreel.audio.levels import FLOOR_DBFS, dbfs, peaks


def sine(amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 400 * np.arange(8_000) / 8_000)).astype(np.int16)


def test_a_square_wave_at_full_scale_is_zero() -> None:
    assert dbfs(np.array([-32_768] * 100, np.int16)) == pytest.approx(0)


def test_levels_of_a_sine_at_full_and_half_amplitude() -> None:
    assert dbfs(sine(32_767)) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(sine(16_384)) == pytest.approx(-9.03, abs=0.01)


@pytest.mark.parametrize("nothing", [np.zeros(0, np.int16), np.zeros(160, np.int16)])
def test_silence_and_nothing_are_the_floor(nothing: np.ndarray) -> None:
    assert dbfs(nothing) == FLOOR_DBFS


@settings(max_examples=40)
@given(arrays.arrays(np.int16, st.integers(0, 50)), st.integers(1, 9))
def test_peaks_are_the_extremes_of_each_bucket(samples: np.ndarray, bucket: int) -> None:
    buckets = [samples[at : at + bucket] for at in range(0, samples.size, bucket)]
    assert peaks(samples, bucket).tolist() == [[part.min(), part.max()] for part in buckets]


def test_empty_bucket_raises() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        peaks(np.zeros(4, np.int16), 0)
