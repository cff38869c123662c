"""A transcript as plain text: a header, then one line per turn with its time and speaker."""

from collections.abc import Iterable, Mapping, Sequence

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.paused import TEXT, Paused


def plain_text(
    head: Sequence[tuple[str, str]],
    turns: Iterable[Turn],
    names: Mapping[Role, str],
    pauses: Iterable[Paused] = (),
) -> str:
    """The whole file. `head` has the name and value of each header line."""
    lines = [f"{_one_line(name)}: {_one_line(value)}" for name, value in head]
    listed = [(turn.start_ms, f"{_one_line(names[turn.role])}: {_one_line(turn.text)}") for turn in turns]
    for pause in pauses:
        at = next((at for at, (start_ms, _) in enumerate(listed) if start_ms > pause.start_ms), len(listed))
        listed.insert(at, (pause.start_ms, TEXT))
    said = [f"[{_time(start_ms)}] {text}" for start_ms, text in listed]
    return "".join(f"{line}\n" for line in [*lines, *([""] if lines and said else []), *said])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(position_ms: int) -> str:
    minutes, seconds = divmod(position_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
