"""Who spoke when in a call, as the shapes of a strip below its waveform. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 1_000
"""Of the drawing: gaps shorter than a thousandth of the call are not visible."""
_LANES: Final = {"agent": (1, 8), "technician": (11, 8)}
"""Top and height of each party's lane, of 20."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the drawing."""

    x: int
    width: int


@dataclass(frozen=True, slots=True)
class SpeechStrip:
    """`lanes` has the path of each party, `interruptions` the place of each; all in units of `width`."""

    width: int
    lanes: Mapping[str, str]
    silences: Sequence[Stretch]
    interruptions: Sequence[int]


def speech_strip(measures: Any) -> SpeechStrip | None:
    """The strip of a call from the `measures` of its summary; None without them, or without a length."""
    if not measures or not measures["end_ms"]:
        return None

    length_ms: int = measures["end_ms"]

    def place(position_ms: int) -> int:
        return round(WIDTH * position_ms / length_ms)

    lanes = {}
    for role, (top, height) in _LANES.items():
        drawn: list[list[int]] = []
        for start_ms, end_ms in measures["parties"][role]["speech"]:
            start, end = place(start_ms), max(place(end_ms), place(start_ms) + 1)
            if drawn and start <= drawn[-1][1]:
                drawn[-1][1] = end
            else:
                drawn.append([start, end])
        lanes[role] = "".join(f"M{start} {top}h{end - start}v{height}H{start}z" for start, end in drawn)
    silences = [
        Stretch(place(one["start_ms"]), max(1, place(one["end_ms"]) - place(one["start_ms"])))
        for one in measures["silences"]
    ]
    return SpeechStrip(WIDTH, lanes, silences, [place(one["at_ms"]) for one in measures["interruptions"]])
