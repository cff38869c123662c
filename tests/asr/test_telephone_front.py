import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.asr.engines.telephone_front import (
    CEPSTRA,
    CONTEXT,
    NARROW,
    SETTLE_FRAMES,
    WEIGHTS,
    WIDE,
    LiveFront,
    TelephoneFront,
    cepstra,
    in_context,
    whole_level,
)
from callreel.audio.resample import to_rate


@pytest.fixture(scope="module")
def front() -> TelephoneFront:
    return TelephoneFront.shipped()


def tone(hertz: float, rate_hz: int, seconds: float = 1, level: float = 8000) -> npt.NDArray[np.int16]:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.int16)


def test_frames_are_as_long_and_as_far_apart_as_the_models() -> None:
    assert (WIDE.window, WIDE.shift) == (410, 160)
    assert (NARROW.window, NARROW.shift) == (205, 80)


@given(st.integers(0, 1000))
def test_a_frame_needs_a_whole_window(size: int) -> None:
    frames = len(NARROW.energies(np.ones(size, np.int16)))
    assert frames == (0 if size < 205 else (size - 205) // 80 + 1)


@pytest.mark.parametrize("hertz", [300, 700, 1400, 2500, 3300])
def test_a_tone_is_loudest_in_the_same_filter_of_either_bank(hertz: float) -> None:
    narrow = NARROW.energies(tone(hertz, 8000)).mean(axis=0)
    wide = WIDE.energies(tone(hertz, 16000)).mean(axis=0)
    assert int(narrow.argmax()) == int(wide.argmax())


def test_twice_as_loud_is_the_same_step_in_every_loud_filter() -> None:
    noise = np.random.default_rng(1).normal(0, 2000, 8000)
    step = NARROW.energies((2 * noise).astype(np.int16)) - NARROW.energies(noise.astype(np.int16))
    assert np.allclose(step, np.log(4), atol=0.02)


def test_silence_has_energies_near_those_of_faint_noise() -> None:
    faint = NARROW.energies(np.random.default_rng(1).normal(0, 2, 80_000).round().astype(np.int16))
    silence = NARROW.energies(np.zeros(8000, np.int16))
    assert np.abs(faint.mean(axis=0) - silence.mean(axis=0)).max() < 1


def test_the_first_cepstrum_is_the_loudness_alone() -> None:
    flat = np.ones((1, WIDE.filters), np.float32)
    assert cepstra(flat)[0, 0] == pytest.approx(np.sqrt(WIDE.filters))
    assert np.abs(cepstra(flat)[0, 1:]).max() < 1e-4


def test_a_frame_stands_in_the_middle_of_its_context_without_the_mean() -> None:
    energies = np.random.default_rng(1).normal(size=(20, NARROW.filters)).astype(np.float32)
    seen = in_context(whole_level(energies)).reshape(20, 2 * CONTEXT + 1, NARROW.filters)
    assert np.allclose(seen[:, CONTEXT], energies - energies.mean(axis=0))
    assert np.allclose(seen[3, 0], seen[0, CONTEXT - 1])  # the edge is repeated
    assert np.allclose(seen[10, 0], seen[6, CONTEXT])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4000))
def test_the_network_gives_finite_cepstra_for_any_length(size: int) -> None:
    samples = np.random.default_rng(size).normal(0, 1000, size).astype(np.int16)
    made = TelephoneFront.shipped().cepstra(samples)
    assert made.shape == (len(NARROW.energies(samples)), CEPSTRA)
    assert made.dtype == np.float32 and np.isfinite(made).all()


def test_loudness_does_not_matter(front: TelephoneFront) -> None:
    noise = np.random.default_rng(1).normal(0, 1000, 8000)
    one, two = (front.cepstra((gain * noise).astype(np.int16)) for gain in (1, 8))
    assert np.abs(one - two).mean() < 0.05 * np.abs(one).mean()


def test_its_loudness_follows_the_wide_signals(front: TelephoneFront) -> None:
    """Noise that rises and falls like syllables, of which the telephone takes what lies above 4 kHz."""
    rng = np.random.default_rng(3)
    swell = 1 + np.sin(2 * np.pi * 4 * np.arange(64_000) / 16000)
    wide = (1500 * swell * rng.normal(size=64_000)).clip(-32768, 32767).astype(np.int16)
    narrow = to_rate(wide, 16000, 8000)
    target = cepstra(WIDE.energies(wide))[:, 0]
    guessed = front.cepstra(narrow)[:, 0]
    frames = min(len(target), len(guessed))
    assert np.corrcoef(target[:frames], guessed[:frames])[0, 1] > 0.9


def test_the_weights_are_small_and_say_how_they_were_made() -> None:
    assert WEIGHTS.stat().st_size <= 120_000
    with np.load(WEIGHTS) as kept:
        assert "train_telephone_front.py" in str(kept["made"])
        assert kept["w0"].shape == (NARROW.filters * (2 * CONTEXT + 1), 160)


def babble(seconds: float, seed: int = 3) -> npt.NDArray[np.int16]:
    """Noise whose loudness and colour change, so that no two frames are alike."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1500, int(seconds * 8000))
    knots = np.arange(0, noise.size + 800, 800)
    swing = np.interp(np.arange(noise.size), knots, rng.random(knots.size))
    return (np.convolve(noise, [1, 0.7], "same") * swing).astype(np.int16)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12))
def test_while_it_comes_a_frame_has_the_same_cepstra_however_the_samples_are_cut(
    front: TelephoneFront, sizes: list[int]
) -> None:
    said = babble(1.5)
    at_once, in_pieces, pieces, at = LiveFront(front), LiveFront(front), [], 0
    for size in sizes:
        pieces.append(in_pieces.push(said[at : at + size]))
        at += size
    pieces.append(in_pieces.finish(said[at:]))
    whole = at_once.finish(said)
    assert np.concatenate(pieces).shape == whole.shape == (len(NARROW.energies(said)), CEPSTRA)
    assert np.allclose(np.concatenate(pieces)[SETTLE_FRAMES:], whole[SETTLE_FRAMES:], atol=0.01)


def test_no_frame_is_given_before_the_level_is_known_and_then_each_soon(front: TelephoneFront) -> None:
    live, said, given_frames = LiveFront(front), babble(3), 0
    for at in range(0, said.size, 800):
        given_frames += len(live.push(said[at : at + 800]))
        heard = len(NARROW.energies(said[: at + 800]))
        assert given_frames == 0 if heard < SETTLE_FRAMES else heard - given_frames <= 30
    assert given_frames > 250


def test_a_long_steady_sound_ends_as_it_does_with_its_level_known(front: TelephoneFront) -> None:
    said = np.random.default_rng(4).normal(0, 1500, 8000 * 10).astype(np.int16)
    live = LiveFront(front).finish(said)
    known = front.cepstra(said)
    assert np.abs(live[500:] - known[500:]).mean() < 0.1 * known.std()


def test_an_utterance_shorter_than_a_frame_has_none(front: TelephoneFront) -> None:
    assert LiveFront(front).finish(np.zeros(100, np.int16)).shape == (0, CEPSTRA)
