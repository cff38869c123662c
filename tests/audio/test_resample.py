"""The upsampler's promise: layer 2 has the same bytes however layer 1 was divided, and can be recreated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio.resample import BLOCK_SAMPLES, Upsampler, to_rate, upsample_all

NOISE = (np.random.default_rng(1).standard_normal(12_345) * 6_000).astype(np.int16)


def pushed(samples: np.ndarray, cuts: list[int]) -> np.ndarray:
    upsampler = Upsampler()
    made = [upsampler.push(piece) for piece in np.split(samples, sorted(cuts))]
    return np.concatenate([*made, upsampler.finish()])


@settings(max_examples=25)
@given(st.lists(st.integers(0, NOISE.size), max_size=12))
def test_output_is_independent_of_block_sizes(cuts: list[int]) -> None:
    assert np.array_equal(pushed(NOISE, cuts), upsample_all(NOISE))


def test_20_ms_frames_give_the_same_output() -> None:
    assert np.array_equal(pushed(NOISE, list(range(160, NOISE.size, 160))), upsample_all(NOISE))


@pytest.mark.parametrize("count", [0, 1, 7, 159, BLOCK_SAMPLES, BLOCK_SAMPLES + 1, 12_345])
def test_output_has_exactly_twice_the_samples(count: int) -> None:
    assert upsample_all(NOISE[:count]).size == 2 * count


def test_a_tone_keeps_its_pitch_level_and_place() -> None:
    at_8k, at_16k = np.arange(16_000) / 8_000, np.arange(32_000) / 16_000
    tone = (10_000 * np.sin(2 * np.pi * 1_000 * at_8k)).astype(np.int16)
    expected = 10_000 * np.sin(2 * np.pi * 1_000 * at_16k)
    inside = slice(2_000, -2_000)
    assert np.max(np.abs(upsample_all(tone)[inside] - expected[inside])) < 12


def test_delay_is_at_most_the_documented_one() -> None:
    upsampler = Upsampler()
    given_back = 0
    held_ms = []
    for blocks in range(1, 600):
        given_back += upsampler.push(np.zeros(BLOCK_SAMPLES, np.int16)).size
        held_ms.append((2 * blocks * BLOCK_SAMPLES - given_back) / 16)
    assert 10 < min(held_ms) and 100 < max(held_ms) <= 120


def test_two_upsamplers_give_the_same_bits() -> None:
    # With 16-bit output soxr would dither, with a seed that differs between instances.
    crowd = [Upsampler() for _ in range(5)]
    first, *others = [np.concatenate([one.push(NOISE), one.finish()]) for one in crowd]
    assert all(np.array_equal(first, other) for other in others)


def test_overshoot_beyond_full_scale_is_clipped() -> None:
    square = np.where(np.arange(4_000) // 20 % 2, 32_767, -32_768).astype(np.int16)
    made = upsample_all(square)
    assert made.max() == 32_767 and made.min() == -32_768
    # Wrapped around, a plateau's overshoot would have the other sign.
    assert np.all(np.sign(made[10:-10:40].astype(int)) == np.sign(square[5:-5:20].astype(int)))


def test_input_array_may_be_reused() -> None:
    scratch = NOISE[:500].copy()
    upsampler = Upsampler()
    first = upsampler.push(scratch)
    scratch[:] = 0
    assert np.array_equal(np.concatenate([first, upsampler.finish()]), upsample_all(NOISE[:500]))


def test_finished_upsampler_refuses_samples() -> None:
    upsampler = Upsampler()
    upsampler.finish()
    with pytest.raises(ValueError, match="finished"):
        upsampler.push(NOISE)
    with pytest.raises(ValueError, match="finished"):
        upsampler.finish()


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(22_050, 8_000), (8_000, 16_000), (48_000, 16_000), (8_000, 8_000)]
)
def test_another_rate_keeps_the_duration(from_hz: int, to_hz: int) -> None:
    assert abs(to_rate(NOISE, from_hz, to_hz).size - NOISE.size * to_hz / from_hz) <= 1


def test_empty_input_stays_empty_at_any_rate() -> None:
    assert to_rate(np.zeros(0, np.int16), 22_050, 8_000).size == 0
