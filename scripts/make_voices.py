"""Makes the shipped voices from src/callreel/simulator/sound/voices/service_call.json, with flite (apt install flite).

Each turn is spoken by flite, brought to 8 kHz and one level, and laid on its party's own track after the turn before.
Both tracks are as long as the call, mu-law WAV. The same flite gives the same bytes, so a change of text is all that
changes the files. Run from the root of the repository: .venv/bin/python scripts/make_voices.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

VOICES = Path("src/callreel/simulator/sound/voices")
SPEAKERS = {"agent": "rms", "technician": "kal16"}
RATE_HZ = 8000
SPEECH_RMS = 0.075
TAIL_MS = 700


def speak(voice: str, text: str) -> npt.NDArray[np.float64]:
    """The text in that voice at 8 kHz, without silence at its ends, at the common level."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turn.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate_hz = soundfile.read(path)
    samples = soxr.resample(samples, rate_hz, RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[max(0, loud[0] - 160) : loud[-1] + 400]
    leveled: npt.NDArray[np.float64] = samples * (SPEECH_RMS / np.sqrt(np.mean(samples**2)))
    return leveled


def main() -> None:
    path = VOICES / "service_call.json"
    call = json.loads(path.read_text())
    spoken = []
    end_ms = 0
    for turn in call["turns"]:
        samples = speak(SPEAKERS[turn["role"]], turn["text"])
        turn["start_ms"] = end_ms + turn["gap_ms"]
        end_ms = turn["end_ms"] = turn["start_ms"] + round(len(samples) * 1000 / RATE_HZ)
        spoken.append((turn["role"], turn["start_ms"] * RATE_HZ // 1000, samples))
    length = (end_ms + TAIL_MS) // 20 * 20 * RATE_HZ // 1000
    for role in SPEAKERS:
        track = np.zeros(length)
        for speaker, start, samples in spoken:
            if speaker == role:
                track[start : start + len(samples)] = samples
        soundfile.write(VOICES / f"{role}.wav", np.clip(track, -1, 1), RATE_HZ, subtype="ULAW", format="WAV")
    lines = ",\n    ".join(json.dumps(turn) for turn in call.pop("turns"))
    head = json.dumps(call, indent=2).removesuffix("\n}")
    path.write_text(f'{head},\n  "turns": [\n    {lines}\n  ]\n}}\n')
    print(f"{VOICES}: two tracks of {length / RATE_HZ:.1f} s")


if __name__ == "__main__":
    main()
