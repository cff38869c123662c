"""The pauses of a recording in a transcript that is read: a line of its own where nothing was recorded."""

from collections.abc import Iterable
from dataclasses import dataclass

TEXT = "[recording paused]"
_SHOWN_MS = 2_000
"""How long a subtitle shows a pause whose end is not known."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A stretch of the call's clock, `end_ms` None where it lasts to the end of the call."""

    start_ms: int
    end_ms: int | None

    @property
    def shown_until_ms(self) -> int:
        """The end of its subtitle."""
        return max(self.start_ms + 1, self.end_ms or self.start_ms + _SHOWN_MS)


def ordered(pauses: Iterable[Paused]) -> list[Paused]:
    """By their start."""
    return sorted(pauses, key=lambda pause: pause.start_ms)
