"""A transcript as plain text: a header, then one line per turn with its time and speaker."""

from collections.abc import Iterable, Mapping, Sequence

from callreel.domain.call import Role
from callreel.domain.transcript import Turn


def plain_text(head: Sequence[tuple[str, str]], turns: Iterable[Turn], names: Mapping[Role, str]) -> str:
    """The whole file. `head` has the name and value of each header line."""
    lines = [f"{name}: {' '.join(value.split())}" for name, value in head]
    said = [f"[{_time(turn.start_ms)}] {names[turn.role]}: {' '.join(turn.text.split())}" for turn in turns]
    return "".join(f"{line}\n" for line in [*lines, *([""] if lines and said else []), *said])


def _time(position_ms: int) -> str:
    minutes, seconds = divmod(position_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
