"""A transcript as SubRip subtitles (.srt). There is no specification; what players agree on is written.

Who speaks stands before the text, since the format has no place for it.
"""

from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.cues import cues


def subrip(turns: Iterable[Turn], names: Mapping[Role, str]) -> str:
    """The whole file. `names` are what the parties are called."""
    blocks = (
        f"{number}\n{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n{names[cue.role]}: {cue.text}\n"
        for number, cue in enumerate(cues(turns), 1)
    )
    return "\n".join(blocks)


def _time(position_ms: int) -> str:
    seconds, milliseconds = divmod(position_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{milliseconds:03}"
