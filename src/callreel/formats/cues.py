"""Divides turns into subtitle cues that are short enough to read, for SubRip and WebVTT.

A cue ends between words, at a pause if there is one; a word that is too long for a cue is split. Cues of one party never
overlap; cues of two parties who speak at the same time do.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word, words_of
from callreel.domain.words import join_words, spread
from callreel.formats.paused import TEXT, Paused

LONGEST_MS = 7000
LONGEST_TEXT = 84
"""Two lines of 42 letters, which is usual for subtitles. Wide letters, such as Chinese ones, count twice."""
PAUSE_MS = 1000


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle. `text` is one line; `end_ms` is after `start_ms`. `role` is None for a pause of the recording."""

    role: Role | None
    start_ms: int
    end_ms: int
    text: str


def cues(turns: Iterable[Turn], pauses: Iterable[Paused] = ()) -> list[Cue]:
    """The cues of all turns with text and of all pauses, sorted by start."""
    found = [_cue(turn.role, group) for turn in turns for group in _groups(turn)]
    found += [Cue(None, pause.start_ms, pause.shown_until_ms, TEXT) for pause in pauses]
    return sorted(found, key=lambda cue: (cue.start_ms, cue.role or ""))


def _groups(turn: Turn) -> Iterator[Sequence[Word]]:
    group: list[Word] = []
    width = 0
    for word in chain.from_iterable(map(_short, words_of(turn))):
        fits = (
            group
            and width + 1 + _width(word.text) <= LONGEST_TEXT
            and word.end_ms - group[0].start_ms <= LONGEST_MS
            and word.start_ms - group[-1].end_ms <= PAUSE_MS
        )
        if group and not fits:
            yield group
            group, width = [], 0
        group.append(word)
        width += 1 + _width(word.text)
    if group:
        yield group


def _short(word: Word) -> Iterator[Word]:
    """The word, or pieces of it that each fit a cue."""
    text = " ".join(word.text.split())
    most = LONGEST_TEXT if _width(text) == len(text) else LONGEST_TEXT // 2
    pieces = [text[at : at + most] for at in range(0, len(text), most)]
    for placed in spread(pieces, word.start_ms, word.end_ms):
        yield Word(*placed)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cue(role: Role, group: Sequence[Word]) -> Cue:
    text = join_words(word.text for word in group)
    return Cue(role, group[0].start_ms, max(group[-1].end_ms, group[0].start_ms + 1), text)
