"""Short voices, cut from the included recordings, and the demo with them."""

from pathlib import Path

import soundfile

from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.call import Role
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.support.program import free_port


def write_voice(path: Path, *, seconds: float, role: Role = Role.TECHNICIAN) -> Path:
    """Write the first `seconds` of an included voice as a WAV file."""
    soundfile.write(
        path, load_voice(shipped_voice(role))[: round(seconds * TELEPHONE_HZ)], TELEPHONE_HZ, subtype="PCM_16"
    )
    return path


def demo_arguments(folder: Path, seconds: float = 3) -> list[str]:
    """Arguments of a demo with short voices: the technician speaks within 3 s, the agent within 9."""
    agent = write_voice(folder / "agent.wav", seconds=seconds, role=Role.AGENT)
    technician = write_voice(folder / "technician.wav", seconds=seconds)
    voices = ["--agent", str(agent), "--technician", str(technician)]
    return ["demo", "--once", "--speed", "4", "--port", str(free_port()), "--data-dir", "kept", *voices]
