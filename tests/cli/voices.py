"""Short voices, cut from the included recordings."""

from pathlib import Path

import soundfile

from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.call import Role
from callreel.simulator.sound.voices import load_voice, shipped_voice


def write_voice(path: Path, *, seconds: float, role: Role = Role.TECHNICIAN) -> Path:
    """Write the first `seconds` of an included voice as a WAV file."""
    soundfile.write(
        path, load_voice(shipped_voice(role))[: round(seconds * TELEPHONE_HZ)], TELEPHONE_HZ, subtype="PCM_16"
    )
    return path
