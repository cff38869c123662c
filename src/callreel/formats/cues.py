"""Turns cut into subtitle cues: short enough to be read while they are shown. What SubRip and WebVTT have in common.

Cues break between words, at a pause where there is one. Cues of one party never overlap; those of two who speak at once
do, as their turns did.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word

LONGEST_MS = 7000
LONGEST_TEXT = 84
"""Two lines of 42 letters, which is usual for subtitles."""
PAUSE_MS = 1000


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle. `text` is one line; `end_ms` is after `start_ms`."""

    role: Role
    start_ms: int
    end_ms: int
    text: str


def cues(turns: Iterable[Turn]) -> list[Cue]:
    """The cues of all turns that say something, sorted by start."""
    found = [cue for turn in turns for cue in _of_turn(turn)]
    return sorted(found, key=lambda cue: (cue.start_ms, cue.role))


def _of_turn(turn: Turn) -> Iterator[Cue]:
    pieces = turn.text.split()
    if not pieces:
        return
    if [piece for word in turn.words for piece in word.text.split()] != pieces:
        yield Cue(turn.role, turn.start_ms, max(turn.end_ms, turn.start_ms + 1), " ".join(pieces))
        return
    group: list[Word] = []
    for word in turn.words:
        if group and _is_full(group, word):
            yield _cue(turn.role, group)
            group = []
        group.append(word)
    yield _cue(turn.role, group)


def _is_full(group: Sequence[Word], word: Word) -> bool:
    letters = sum(len(known.text) + 1 for known in group) + len(word.text)
    return (
        letters > LONGEST_TEXT
        or word.end_ms - group[0].start_ms > LONGEST_MS
        or word.start_ms - group[-1].end_ms > PAUSE_MS
    )


def _cue(role: Role, group: Sequence[Word]) -> Cue:
    text = " ".join(piece for word in group for piece in word.text.split())
    return Cue(role, group[0].start_ms, max(group[-1].end_ms, group[0].start_ms + 1), text)
