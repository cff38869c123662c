"""Segments that are the other party's voice are found, and double talk is kept."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from callreel.audio.crosstalk import LOOKBACK, is_crosstalk
from callreel.audio.mulaw import decode, encode
from callreel.audio.samples import Samples
from tests.audio.voices import CALLS, recorded, voice

DELAYS_MS = (20, 65, 110, 155, 200)
Span = tuple[int, int]


def leaked(own: Samples, other: Samples, level_db: float, delay_ms: int, *, room: bool = False) -> Samples:
    """`own` with the voice of `other` leaking into it, as mu-law on the line; in a room with an echo of 50 ms."""
    leak = other * 10 ** (level_db / 20)
    if room:
        echo = np.random.default_rng(1).standard_normal(400) * np.exp(-np.arange(400) / 60) * 0.25
        echo[0] += 1
        leak = np.convolve(leak, echo)[: other.size]
    delayed = np.concatenate([np.zeros(delay_ms * 8), leak])[: own.size]
    return decode(encode(np.clip(own + delayed, -32_768, 32_767).astype(np.int16)))


def marked(mixed: Samples, other: Samples, span: Span) -> bool:
    start, end = (at * 8 for at in span)
    before = np.concatenate([np.zeros(LOOKBACK, np.int16), other])
    return is_crosstalk(mixed[start:end], before[start : end + LOOKBACK])


def calls() -> Iterator[tuple[tuple[Samples, Samples], tuple[list[Span], list[Span]]]]:
    """Both channels of each recorded call, and where each party speaks, with a margin as voice activity gives it."""
    for path in sorted(CALLS.glob("*.json")):
        channels = recorded(path.stem)
        spans: tuple[list[Span], list[Span]] = [], []
        for turn in json.loads(path.read_text())["turns"]:
            start_ms, end_ms = max(0, round(turn["start"] * 1000) - 300), round(turn["end"] * 1000) + 300
            spans[turn["channel"]].append((start_ms, min(end_ms, channels[0].size // 8)))
        yield channels, spans


def alone(span: Span, others: list[Span]) -> bool:
    return all(span[1] + 200 <= start or end <= span[0] for start, end in others)


@pytest.mark.parametrize(
    ("level_db", "room", "least"),
    [(-15, False, 0.95), (-20, False, 0.95), (-20, True, 0.95), (-30, False, 0.9)],
)
def test_leaks_of_recorded_calls_are_found(level_db: float, room: bool, least: float) -> None:
    recorded("real_katie_steve")  # skips where the calls are absent
    found = []
    for number, (channels, spans) in enumerate(calls()):
        delay_ms = DELAYS_MS[number % len(DELAYS_MS)]
        for own, other in ((0, 1), (1, 0)):
            mixed = leaked(channels[own], channels[other], level_db, delay_ms, room=room)
            for start_ms, end_ms in spans[other]:
                leak = start_ms + delay_ms, min(end_ms + delay_ms, mixed.size // 8)
                if alone(leak, spans[own]):
                    found.append(marked(mixed, channels[other], leak))
    print(f"{level_db} dB, room {room}: {sum(found)} of {len(found)} leaks marked")
    assert len(found) > 50 and np.mean(found) >= least


@pytest.mark.parametrize("level_db", [-15, -20, -30])
def test_real_double_talk_of_recorded_calls_is_kept(level_db: float) -> None:
    """Both speak at once, the other one 6 dB louder, and leak into each other."""
    recorded("real_katie_steve")
    wrong = []
    for number, (channels, spans) in enumerate(calls()):
        for own, other in ((0, 1), (1, 0)):
            spoken = spans[own]
            first = channels[own].size // 8 - spans[other][0][0] + spoken[0][0]
            loud = np.clip(2 * np.roll(channels[other].astype(np.int32), first * 8), -32_768, 32_767)
            over = loud.astype(np.int16)
            mixed = leaked(channels[own], over, level_db, DELAYS_MS[number % len(DELAYS_MS)])
            wrong += [marked(mixed, over, span) for span in spoken]
    print(f"{level_db} dB: {sum(wrong)} of {len(wrong)} segments of double talk wrongly marked")
    assert len(wrong) > 100 and np.mean(wrong) <= 0.01


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
def test_leak_is_found_at_each_delay(delay_ms: int) -> None:
    other = voice(8, seed=1)
    mixed = leaked(np.zeros_like(other), other, -20, delay_ms)
    assert marked(mixed, other, (1000, 6000))


def test_word_of_ones_own_within_a_leak_keeps_the_segment() -> None:
    other, own = voice(8, seed=1), voice(8, seed=2)
    own[: 3 * 8000] = own[4 * 8000 :] = 0
    assert not marked(leaked(own, other, -20, 60), other, (1000, 6000))


@pytest.mark.parametrize("level_db", [0.0, -3.0])
def test_copy_as_loud_as_the_other_channel_is_no_leak(level_db: float) -> None:
    other = voice(8, seed=1)
    assert not marked(leaked(np.zeros_like(other), other, level_db, 60), other, (1000, 6000))


def test_own_voice_is_kept_when_it_leaks_into_the_other_channel() -> None:
    own = voice(8, seed=1)
    assert not marked(own, leaked(np.zeros_like(own), own, -20, 60), (1000, 6000))


def test_silence_is_no_leak() -> None:
    assert not marked(np.zeros(64_000, np.int16), voice(8), (1000, 6000))


def test_channels_of_different_length_are_a_fault() -> None:
    with pytest.raises(ValueError, match="expected 2100 samples"):
        is_crosstalk(np.zeros(100, np.int16), np.zeros(100, np.int16))
