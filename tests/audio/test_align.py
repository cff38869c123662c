"""A live layer made from a known cloud recording, by faults whose measures are known."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
import soxr

from callreel.audio import mulaw
from callreel.audio.align import compare
from callreel.audio.samples import Samples
from callreel.domain.call import Role
from callreel.domain.verdict import Comparison
from tests.audio.voices import noisy, recorded, ringback, voice

CLOUD = voice(30)
LATE = 3_337
"""Samples by which the live layer begins later: 417.125 ms."""
NOTHING = np.zeros(0, np.int16)


def compared(
    live: Samples, cloud: Samples = CLOUD, concealed_gaps_ms: Sequence[tuple[int, int]] = ()
) -> Comparison:
    return compare(Role.AGENT, live, cloud, concealed_gaps_ms=concealed_gaps_ms)


def sound_ms(samples: Samples) -> int:
    """The sound that the comparison itself finds: what a silent live layer lacks."""
    return compared(np.zeros_like(samples), samples).unmatched_ms


def assert_agrees(comparison: Comparison, offset_ms: float = 417.125) -> None:
    assert comparison.offset_ms == pytest.approx(offset_ms, abs=0.0001)
    assert comparison.drift_ppm == 0
    assert comparison.correlation is not None and comparison.correlation > 0.98
    assert comparison.unmatched_ms == comparison.missing_start_ms
    assert comparison.jump_ms == 0 and not comparison.silent


@pytest.mark.parametrize("late", [0, 1, 80, 3_337, 40_003, 160_000])
def test_the_offset_is_found_to_the_sample(late: int) -> None:
    comparison = compared(CLOUD[late:])
    assert_agrees(comparison, late / 8)
    assert comparison.missing_start_ms == pytest.approx(sound_ms(CLOUD[:late]), abs=60)


def test_the_live_layer_may_begin_first() -> None:
    comparison = compared(CLOUD, CLOUD[8_000:])
    assert_agrees(comparison, -1_000)
    assert comparison.live_only_ms == pytest.approx(sound_ms(CLOUD[:8_000]), abs=40)


@pytest.mark.parametrize(
    "live",
    [
        pytest.param((CLOUD[LATE:] * 0.3).astype(np.int16), id="softer"),
        pytest.param(np.clip(CLOUD[LATE:] * 2.0, -32_768, 32_767).astype(np.int16), id="louder"),
        pytest.param(mulaw.decode(mulaw.encode(CLOUD[LATE:])), id="mu-law"),
        pytest.param(noisy(CLOUD, 20)[LATE:], id="noise 20 dB below"),
        pytest.param(noisy(CLOUD, 14)[LATE:], id="noise 14 dB below"),
    ],
)
def test_gain_coding_and_noise_do_not_matter(live: Samples) -> None:
    assert_agrees(compared(live))


@pytest.mark.parametrize("ppm", [-100, 20, 200])
def test_drift_is_measured_and_followed(ppm: int) -> None:
    comparison = compared(soxr.resample(CLOUD, 8_000, 8_000 / (1 + ppm * 1e-6)))
    assert comparison.drift_ppm == pytest.approx(ppm, abs=1)
    assert comparison.offset_ms == pytest.approx(0, abs=0.05)
    assert comparison.correlation is not None and comparison.correlation > 0.99
    assert comparison.unmatched_ms == 0


def test_sound_after_a_dead_socket_is_missing_at_the_end() -> None:
    comparison = compared(CLOUD[LATE:160_000])
    assert comparison.offset_ms == 417.125
    assert comparison.correlation == pytest.approx(1, abs=0.001)
    assert comparison.missing_end_ms == pytest.approx(sound_ms(CLOUD[160_000:]), abs=40)
    assert comparison.unmatched_ms == comparison.missing_start_ms + comparison.missing_end_ms


def test_sound_of_lost_frames_is_in_the_known_gaps() -> None:
    live = CLOUD[LATE:].copy()
    gaps_ms = [(2_000, 2_500), (5_000, 5_020), (11_000, 11_200)]
    lost = 0
    for start_ms, end_ms in gaps_ms:
        lost += sound_ms(live[start_ms * 8 : end_ms * 8])
        live[start_ms * 8 : end_ms * 8] = 0
    known, unknown = compared(live, concealed_gaps_ms=gaps_ms), compared(live)
    assert known.correlation == pytest.approx(1, abs=0.01)
    assert known.in_gaps_ms == known.unmatched_ms - known.missing_start_ms == pytest.approx(lost, abs=80)
    assert (unknown.unmatched_ms, unknown.in_gaps_ms) == (known.unmatched_ms, 0)


def test_each_lost_frame_is_one_block() -> None:
    cloud = noisy(np.full(160_000, 100, np.int16), -20)
    live = cloud[LATE:].copy()
    lost = np.random.default_rng(2).choice(live.size // 160, size=40, replace=False)
    for frame in lost:
        live[frame * 160 : (frame + 1) * 160] = 0
    comparison = compared(live, cloud)
    assert comparison.unmatched_ms - comparison.missing_start_ms == 40 * 20
    assert comparison.correlation == pytest.approx(1, abs=0.001)


def test_second_stream_may_have_another_offset() -> None:
    # 20 s in, a second stream was placed 60 ms too late, after a second without any.
    live = np.concatenate([CLOUD[LATE:160_000], np.zeros(8_000 + 480, np.int16), CLOUD[168_000:]])
    gap_ms = ((160_000 - LATE) // 8, (168_480 - LATE) // 8)
    comparison = compared(live, concealed_gaps_ms=[gap_ms])
    assert comparison.offset_ms == 417.125
    assert comparison.jump_ms == 60
    assert comparison.correlation == pytest.approx(1, abs=0.01)
    elsewhere_ms = comparison.unmatched_ms - comparison.missing_start_ms - comparison.in_gaps_ms
    assert elsewhere_ms <= 20 and comparison.in_gaps_ms == pytest.approx(
        sound_ms(CLOUD[160_000:168_000]), abs=60
    )


def test_the_wrong_voice_does_not_correlate() -> None:
    comparison = compared(voice(30, seed=9))
    assert comparison.correlation is not None and comparison.correlation < 0.3
    assert comparison.unmatched_ms > 0.8 * sound_ms(CLOUD)


def test_the_wrong_voice_for_half_of_the_call_lowers_correlation() -> None:
    live = np.concatenate([CLOUD[:120_000], voice(15, seed=9)])
    comparison = compared(live)
    assert comparison.correlation is not None and comparison.correlation < 0.9


def test_truncated_cloud_recording_leaves_live_only_sound() -> None:
    comparison = compared(CLOUD[LATE:], CLOUD[:120_000])
    assert_agrees(comparison)
    assert comparison.live_only_ms == pytest.approx(sound_ms(CLOUD[120_000:]), abs=40)


@pytest.mark.parametrize("late", [0, 500, 1_600])
def test_one_second_is_enough_to_align(late: int) -> None:
    second = CLOUD[8_000:16_000]
    assert_agrees(compared(second[late:], second), late / 8)


def test_ringback_alone_is_enough_to_align() -> None:
    tones = ringback(20)
    assert_agrees(compared(mulaw.decode(mulaw.encode(tones[LATE:])), tones))


def test_one_word_in_a_long_silence_is_enough_to_align() -> None:
    quiet = np.zeros(400_000, np.int16)
    quiet[300_000:301_600] = CLOUD[np.argmax(np.abs(CLOUD)) - 800 :][:1_600]
    assert_agrees(compared(quiet[LATE:], quiet))


@pytest.mark.parametrize(
    "live", [NOTHING, CLOUD[:5] * 0, CLOUD * 0], ids=["none", "a few samples", "silence"]
)
@pytest.mark.parametrize(
    "cloud", [NOTHING, CLOUD[:5] * 0, CLOUD * 0], ids=["none", "a few samples", "silence"]
)
def test_two_silences_agree(live: Samples, cloud: Samples) -> None:
    comparison = compared(live, cloud)
    assert comparison.silent and comparison.correlation is None
    assert (comparison.unmatched_ms, comparison.live_only_ms) == (0, 0)
    assert (comparison.live_ms, comparison.cloud_ms) == (live.size // 8, cloud.size // 8)


@pytest.mark.parametrize("silence", [NOTHING, CLOUD * 0], ids=["none", "silence"])
def test_silent_layer_lacks_all_sound_of_the_other(silence: Samples) -> None:
    no_live, no_cloud = compared(silence, CLOUD), compared(CLOUD, silence)
    assert no_live.unmatched_ms == no_cloud.live_only_ms == sound_ms(CLOUD) > 10_000
    assert no_live.correlation is no_cloud.correlation is None
    assert not no_live.silent and not no_cloud.silent


@pytest.mark.parametrize("name", ["real_chromecast", "real_katie_steve"])
def test_recorded_conversations_are_aligned(name: str) -> None:
    agent, other = recorded(name)
    live = mulaw.decode(mulaw.encode(agent[LATE:]))
    assert_agrees(compared(live, agent))
    swapped = compared(other, agent)
    assert swapped.correlation is not None and swapped.correlation < 0.3


def test_five_minutes_take_a_fraction_of_a_second() -> None:
    # An hour is twelve times as much, but not in excerpts: those are as many for both.
    cloud = np.tile(voice(60), 5)
    live = soxr.resample(cloud, 8_000, 8_000 / (1 + 100e-6))
    before = time.process_time()
    comparison = compared(live, cloud)
    assert time.process_time() - before < 3
    assert comparison.drift_ppm == pytest.approx(100, abs=1)
