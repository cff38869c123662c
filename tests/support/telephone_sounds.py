"""Sounds of telephone lines that are not speech, as 8 kHz samples."""

import numpy as np
import numpy.typing as npt

from callreel.audio import mulaw
from callreel.audio.samples import Samples

RATE = 8000
Floats = npt.NDArray[np.float64]


def line(sound: Floats) -> Samples:
    """As it comes from a carrier; full scale is 1."""
    return mulaw.decode(mulaw.encode(np.clip(32767 * sound, -32767, 32767).astype(np.int16)))


def tones(*hertz: float, seconds: float = 1.0, level: float = 0.2) -> Floats:
    at = np.arange(int(seconds * RATE)) / RATE
    mixed: Floats = np.mean([level * np.sin(2 * np.pi * each * at) for each in hertz], axis=0)
    return mixed


def pause(seconds: float) -> Floats:
    return np.zeros(int(seconds * RATE))


def repeated(times: int, *sounds: Floats) -> Floats:
    return np.concatenate(sounds * times)


def noise(seconds: float, level: float) -> Floats:
    return np.random.default_rng(1).normal(0, level, int(seconds * RATE))


def hold_music(seconds: int) -> Floats:
    """Plucked chords and a melody, two a second."""
    at = np.arange(RATE // 2) / RATE
    chords = [(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)]
    beats = []
    for beat in range(2 * seconds):
        chord = chords[beat // 4 % 4]
        melody = 0.08 * np.sin(4 * np.pi * chord[beat % 3] * at)
        strings = [0.1 * np.sin(2 * np.pi * hz * at) + 0.05 * np.sin(4 * np.pi * hz * at) for hz in chord]
        beats.append(np.exp(-3 * at) * np.sum([melody, *strings], axis=0))
    return np.concatenate(beats)


KEYS = [(low, high) for low in (697, 770, 852, 941) for high in (1209, 1336, 1477)]


def clicks(seconds: float) -> Floats:
    return np.where(np.random.default_rng(2).random(int(seconds * RATE)) < 0.0008, 0.5, 0.0)


def breath() -> Floats:
    breathed = noise(1.2, 0.02)
    shaped: Floats = breathed * np.hanning(breathed.size)
    return shaped


SOUNDS = {
    "four minutes of silence": pause(240),
    "a quiet line": noise(60, 0.0005),
    "a noisy line": noise(60, 0.003),
    "hold music": hold_music(40),
    "ringback": repeated(5, tones(440, 480, seconds=2), pause(4)),
    "busy": repeated(20, tones(480, 620, seconds=0.5), pause(0.5)),
    "dial tone": tones(350, 440, seconds=20),
    "a test tone": tones(1000, seconds=20),
    "number not in service": repeated(8, *(tones(hz, seconds=0.33) for hz in (950, 1400, 1800)), pause(1)),
    "keys": repeated(
        3, *(each for key in KEYS for each in (tones(*key, seconds=0.1, level=0.4), pause(0.08)))
    ),
    "loud noise": noise(20, 0.05),
    "clicks": clicks(20),
    "breathing": repeated(8, breath(), pause(1)),
    "hum": tones(50, 100, 150, seconds=20, level=0.1),
}
