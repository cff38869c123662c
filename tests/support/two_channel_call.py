"""A synthetic call for evaluations that need no speech: each word is a burst of noise."""

import csv
import json
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 8000
TURNS = (
    (0, 1.0, "is the pump at full pressure now"),
    (1, 5.0, "no it has leaked since monday"),
    (0, 7.5, "please shut the valve"),
    (1, 12.0, "done"),
)
"""Channel, start in seconds, text."""
SECONDS = 16
WORD_S, WORD_AND_GAP_S = 0.25, 0.35


def write_call(folder: Path, name: str = "made_call", *, repeats: int = 1) -> Path:
    """WAV, turn list and a manifest of them in `folder`; returns the manifest. The turns repeat `repeats` times."""
    samples = np.zeros((repeats * SECONDS * RATE_HZ, 2), np.int16)
    rng = np.random.default_rng(1)
    turns = []
    said = [
        (channel, start_s + SECONDS * n, text) for n in range(repeats) for channel, start_s, text in TURNS
    ]
    for channel, start_s, text in said:
        words = []
        for at, word in enumerate(text.split()):
            begin_s = start_s + at * WORD_AND_GAP_S
            words.append([word, round(begin_s, 3), round(begin_s + WORD_S, 3)])
            burst = slice(int(begin_s * RATE_HZ), int((begin_s + WORD_S) * RATE_HZ))
            samples[burst, channel] = rng.integers(-6000, 6000, burst.stop - burst.start)
        turns.append(
            {"channel": channel, "start": start_s, "end": words[-1][2], "text": text, "words": words}
        )
    soundfile.write(folder / f"{name}.wav", samples, RATE_HZ)
    (folder / f"{name}.json").write_text(json.dumps({"turns": turns}), encoding="utf-8")
    return write_manifest(folder, [{"file": f"{name}.wav", "turns": str(len(turns))}])


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    """A table with the columns of the first row."""
    path = folder / "manifest.tsv"
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(
            lines, list(rows[0]), dialect="unix", delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None
        )
        table.writeheader()
        table.writerows(rows)
    return path
