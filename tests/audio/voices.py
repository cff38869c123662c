"""Signals for the tests of comparing: noise shaped and paced like speech, and calls recorded by people."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.audio.samples import Samples

CALLS = Path(__file__).parents[3] / "shared" / "audio" / "calls"


@cache
def voice(seconds: float, seed: int = 0) -> Samples:
    """8 kHz: coloured noise in syllables of 80 to 400 ms, about 40 % pauses of digital silence."""
    random = np.random.default_rng(seed)
    count = round(seconds * 8_000)
    envelope = np.zeros(count)
    at = 0
    while at < count:
        syllable = envelope[at : at + round(random.uniform(0.08, 0.4) * 8_000)]
        if random.random() < 0.6:
            syllable[:] = np.hanning(syllable.size) * random.uniform(0.2, 1)
        at += syllable.size
    coloured = np.convolve(random.standard_normal(count), [1, 1.6, 0.9, 0.3], "same")
    return np.clip(coloured * envelope * 3_000, -32_000, 32_000).astype(np.int16)


def ringback(seconds: float) -> Samples:
    """8 kHz: the North American one, 2 s of 440 and 480 Hz every 6 s."""
    at = np.arange(round(seconds * 8_000)) / 8_000
    tone = np.sin(2 * np.pi * 440 * at) + np.sin(2 * np.pi * 480 * at)
    rings: Samples = (3_000 * tone * (at % 6 < 2)).astype(np.int16)
    return rings


def noisy(samples: Samples, below_db: float) -> Samples:
    """With white noise, its level `below_db` under that of the samples as a whole."""
    rms = np.sqrt(np.mean(samples.astype(float) ** 2))
    noise = np.random.default_rng(5).standard_normal(samples.size) * rms * 10 ** (-below_db / 20)
    mixed: Samples = np.clip(samples + noise, -32_768, 32_767).astype(np.int16)
    return mixed


def recorded(name: str) -> tuple[Samples, Samples]:
    """Both channels of one of the calls beside the repository; skips the test where they are absent."""
    path = CALLS / f"{name}.wav"
    if not path.exists():
        pytest.skip(f"no recorded calls in {CALLS}")
    samples, _ = soundfile.read(path, dtype="int16")
    first, second = samples.T
    return first, second
