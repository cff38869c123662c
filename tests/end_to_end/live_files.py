"""Calls with the shipped voices, their live files, and the media workers of a running server."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from callreel.domain.call import Role
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import TECHNICIAN, House

RATE_HZ = 8000
LOST_MS_MAX = 250
"""A kill loses at most a block of 160 ms and the 80 ms that the jitter buffer holds back."""


def script(voice_s: int, *faults: Fault, number: str = TECHNICIAN, **options: Any) -> CallScript:
    """A call in which both shipped voices speak at once, over and over if they are shorter."""
    agent, technician = (np.resize(load_voice(shipped_voice(role)), voice_s * RATE_HZ) for role in Role)
    return CallScript(agent_voice=agent, technician_voice=technician, number=number, faults=faults, **options)


def live_files(house: House) -> list[Path]:
    return sorted((house.data_dir / "audio_recordings").glob("*_8000Hz.wav"))


def codes(call: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in call["reasons"]}


def metric(house: House, name: str) -> float | None:
    """A sample of /metrics, None if it is absent."""
    for line in house.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return None


def media_workers(house: House) -> list[int]:
    """Process ids of the server's media workers."""
    assert house.server is not None
    found = []
    for task in Path(f"/proc/{house.server.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"callreel.app.media_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def holder(house: House) -> int:
    """The worker that writes live layers."""
    for pid in media_workers(house):
        files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        if any(name.endswith("_8000Hz.wav") for name in files):
            return pid
    raise AssertionError("no media worker writes a layer")
