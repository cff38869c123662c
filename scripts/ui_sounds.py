"""Makes the softphone's sounds: twelve keypad tones (ITU-T Q.23), a ringtone, and tones for dialling and hanging up.

The server serves these small files (8 kHz, 8 bit) itself, so that the voice SDK requests nothing from other hosts.
Run from the root of the repository: .venv/bin/python scripts/ui_sounds.py
"""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOUNDS = Path("src/callreel/web/static/sounds")
RATE_HZ = 8000
FADE_MS = 8
KEY_MS = 140
ROWS_HZ = (697, 770, 852, 941)
COLUMNS_HZ = (1209, 1336, 1477)
KEYS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "s", "0", "h")


def tone(ms: int, *frequencies_hz: float, level: float = 0.25) -> NDArray[np.float64]:
    """The mean of sines, faded in and out; -1..1."""
    t = np.arange(RATE_HZ * ms // 1000) / RATE_HZ
    wave_form = sum((np.sin(2 * np.pi * hz * t) for hz in frequencies_hz), np.zeros_like(t)) / len(
        frequencies_hz
    )
    ramp = np.minimum(1, np.minimum(t, t[::-1]) / (FADE_MS / 1000))
    return level * wave_form * ramp


def silence(ms: int) -> NDArray[np.float64]:
    return np.zeros(RATE_HZ * ms // 1000)


def save(name: str, *parts: NDArray[np.float64]) -> None:
    samples = np.concatenate(parts)
    with wave.open(str(SOUNDS / f"{name}.wav"), "wb") as file:
        file.setparams((1, 1, RATE_HZ, len(samples), "NONE", ""))
        file.writeframes((128 + np.round(127 * samples)).astype(np.uint8).tobytes())


def main() -> None:
    SOUNDS.mkdir(parents=True, exist_ok=True)
    for at, key in enumerate(KEYS):
        save(f"dtmf{key}", tone(KEY_MS, ROWS_HZ[at // 3], COLUMNS_HZ[at % 3]))
    bell = (tone(120, 587, level=0.4), tone(120, 740, level=0.4), tone(220, 880, level=0.4))
    save("incoming", *bell, silence(220), *bell, silence(1900))
    save("outgoing", tone(90, 440), silence(40), tone(120, 660))
    save("disconnect", tone(120, 660), silence(40), tone(160, 440))


if __name__ == "__main__":
    main()
