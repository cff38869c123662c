"""The voices of a simulated call: the two included recordings, or WAV files of the user.

A voice is int16 samples at 8 kHz mono; both voices of a call begin at the answer. `scripts/make_voices.py` synthesises
the included ones from `voices/service_call.json`.
"""

from pathlib import Path

import numpy as np

from callreel.audio.resample import to_rate
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Role
from callreel.domain.errors import AudioFileError
from callreel.store.files.sound_files import read_wav

_FOLDER = Path(__file__).parent / "voices"


def shipped_voice(role: Role) -> Path:
    """The WAV file of that role in the included call."""
    return _FOLDER / f"{role.value}.wav"


def load_voice(path: Path) -> Samples:
    """The samples [n > 0] of a WAV file of any rate, its channels averaged, at 8 kHz.

    Raises AudioFileError if the file does not exist, is not a WAV file, or contains no samples.
    """
    if not path.is_file():
        raise AudioFileError(
            f"expected a WAV file at {path}, but it does not exist; give the path of a speech recording"
        )
    try:
        samples, rate_hz = read_wav(path)
    except (AudioFileError, OSError) as error:
        raise AudioFileError(f"expected a WAV file, but {path} cannot be read as one ({error})") from error
    if not len(samples):
        raise AudioFileError(f"expected speech, but {path} contains no samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else np.rint(samples.mean(axis=1)).astype(np.int16)
    return to_rate(np.ascontiguousarray(mono), rate_hz, TELEPHONE_HZ)
