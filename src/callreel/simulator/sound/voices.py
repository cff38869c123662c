"""The speech that goes into a call: the two shipped voices, and any WAV file of a person's own.

A voice is int16 samples at 8 kHz mono, both voices of a call beginning at the answer. The shipped ones are our own text,
`voices/service_call.json`, spoken by `scripts/make_voices.py`. Reading files is soundfile's business.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from callreel.audio.resample import to_rate
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Role
from callreel.domain.errors import AudioFileError

_FOLDER = Path(__file__).parent / "voices"


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of the shipped call: what is said, by whom, and when, in ms from the answer."""

    role: Role
    start_ms: int
    end_ms: int
    text: str


def shipped_lines() -> tuple[Line, ...]:
    """The text of the shipped call, in order of time."""
    call = json.loads((_FOLDER / "service_call.json").read_text(encoding="utf-8"))
    return tuple(
        Line(Role(turn["role"]), turn["start_ms"], turn["end_ms"], turn["text"]) for turn in call["turns"]
    )


def shipped_voice(role: Role) -> Path:
    """The WAV file of that party of the shipped call."""
    return _FOLDER / f"{role.value}.wav"


def load_voice(path: Path) -> Samples:
    """The samples [n > 0] of a WAV file of any rate, its channels averaged, at 8 kHz.

    Raises AudioFileError, one line, when there is no file, it is not a WAV, or it holds no sound.
    """
    if not path.is_file():
        raise AudioFileError(
            f"expected a WAV file at {path}, there is none; give the path of a recording of speech"
        )
    try:
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioFileError(
            f"expected a WAV file, {path} is not one that can be read ({_reason(error)})"
        ) from error
    if not len(samples):
        raise AudioFileError(f"expected speech, {path} holds no samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else np.rint(samples.mean(axis=1)).astype(np.int16)
    return to_rate(np.ascontiguousarray(mono), rate_hz, TELEPHONE_HZ)


def _reason(error: Exception) -> str:
    """The library's own words without the path, which we have already named."""
    return str(error).rsplit(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
