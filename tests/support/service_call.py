"""The words of the included service call, from which its two voices were made."""

import json
from dataclasses import dataclass

from callreel.domain.call import Role
from callreel.simulator.sound.voices import shipped_voice


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of the included call: its text, speaker and time, in ms from the answer."""

    role: Role
    start_ms: int
    end_ms: int
    text: str


def shipped_lines() -> tuple[Line, ...]:
    """The turns of the included call, in order of time."""
    call = json.loads(shipped_voice(Role.AGENT).with_name("service_call.json").read_text(encoding="utf-8"))
    return tuple(
        Line(Role(turn["role"]), turn["start_ms"], turn["end_ms"], turn["text"]) for turn in call["turns"]
    )
