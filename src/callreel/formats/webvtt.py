"""A transcript as WebVTT (W3C Candidate Recommendation of 4 April 2019), with a voice span for who speaks."""

from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.cues import cues


def webvtt(turns: Iterable[Turn], names: Mapping[Role, str]) -> str:
    """The whole file. `names` are what the parties are called."""
    blocks = (
        f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n<v {_escaped(names[cue.role])}>{_escaped(cue.text)}\n"
        for cue in cues(turns)
    )
    return "\n".join(["WEBVTT\n", *blocks])


def _escaped(text: str) -> str:
    """Section 4.2.2: `&` and `<` begin something else, and `-->` may not stand in a cue."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(position_ms: int) -> str:
    seconds, milliseconds = divmod(position_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
