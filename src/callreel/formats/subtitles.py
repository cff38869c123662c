"""A transcript as subtitles: SubRip (.srt) and WebVTT (.vtt).

WebVTT follows the W3C Candidate Recommendation of 4 April 2019, with a voice span for the speaker. SubRip has no
specification: the speaker's name precedes the text, and characters that players may interpret as markup are replaced.
"""

import re
from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.cues import cues
from callreel.formats.paused import Paused

# SubRip has no escapes. Players interpret HTML tags, the override codes of SubStation (`{\\an8}`) and arrows.
_SUBRIP = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")", "\\": "/"})
# Some parsers read any line with two such times as the start of a cue, whatever is between the times.
_SUBRIP_TIME = re.compile(r"(\d):(\d{1,2}):(\d{1,2}[.,]\d)")
# WebVTT, section 4.2.2: `&` and `<` start markup, and `-->` is not allowed within a cue.
_WEBVTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def subrip(turns: Iterable[Turn], names: Mapping[Role, str], pauses: Iterable[Paused] = ()) -> str:
    """The whole file. `names` are what the parties are called."""
    blocks = []
    for number, cue in enumerate(cues(turns, pauses), 1):
        said = cue.text if cue.role is None else f"{names[cue.role]}: {cue.text}"
        text = " ".join(said.split()).replace("-->", "→").translate(_SUBRIP)
        text = _SUBRIP_TIME.sub(r"\1∶\2∶\3", text)
        blocks.append(f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n{text}\n")
    return "\n".join(blocks)


def webvtt(turns: Iterable[Turn], names: Mapping[Role, str], pauses: Iterable[Paused] = ()) -> str:
    """The whole file. `names` are what the parties are called."""
    blocks = ["WEBVTT\n"]
    for cue in cues(turns, pauses):
        name, text = (
            " ".join(part.split()).translate(_WEBVTT)
            for part in (names[cue.role] if cue.role else "", cue.text)
        )
        voice = f"<v {name}>" if name else ""
        blocks.append(f"{_time(cue.start_ms, '.')} --> {_time(cue.end_ms, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def _time(position_ms: int, point: str) -> str:
    seconds, milliseconds = divmod(position_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
