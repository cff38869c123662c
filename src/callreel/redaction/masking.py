"""Redacted text: words that lie in a redacted stretch, replaced by one mask for each, such as `[card number]`.

A word belongs to a stretch that contains at least half of it, so that stretches found in one transcript also mask another
one of the same call, whose words have slightly other times. Masking a masked text changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Final as SegmentResult
from callreel.domain.transcript import Turn, Word, words_of
from callreel.domain.words import join_words

MASKS: Final = {entity.mask: entity for entity in Entity}
_AFTER: Final = ".,;:!?"


def entity_of(word: Word) -> Entity | None:
    """The entity whose mask the word is."""
    return MASKS.get(word.text.rstrip(_AFTER))


def masked_turns(turns: Iterable[Turn], stretches: Sequence[Stretch]) -> tuple[Turn, ...]:
    """The turns with their masks; unchanged ones are the same objects."""
    return tuple(masked_turn(turn, stretches) for turn in turns) if stretches else tuple(turns)


def masked_turn(turn: Turn, stretches: Sequence[Stretch]) -> Turn:
    """One turn with its masks."""
    words = words_of(turn)
    masked = masked_words(turn.role, words, stretches)
    if masked == words:
        return turn
    return replace(turn, words=masked, text=join_words(word.text for word in masked))


def masked_final(final: SegmentResult, stretches: Sequence[Stretch]) -> SegmentResult:
    """A live result with its masks."""
    masked = masked_words(final.segment.role, final.words, stretches)
    return final if masked == final.words else replace(final, words=masked)


def masked_words(role: Role, words: tuple[Word, ...], stretches: Sequence[Stretch]) -> tuple[Word, ...]:
    """The words of one party; consecutive ones of one stretch become one mask."""
    mine = [stretch for stretch in stretches if stretch.role is role]
    made: list[Word] = []
    last: Stretch | None = None
    for word in words:
        stretch = next((one for one in mine if _contains(one, word)), None)
        if stretch is None:
            made.append(word)
        elif last is not None and (stretch is last or stretch.entity is last.entity):
            before = made[-1]
            made[-1] = Word(stretch.entity.mask + _ending(word.text), before.start_ms, word.end_ms)
        else:
            made.append(Word(stretch.entity.mask + _ending(word.text), word.start_ms, word.end_ms))
        last = stretch
    return tuple(made)


def _contains(stretch: Stretch, word: Word) -> bool:
    shared_ms = min(stretch.end_ms, word.end_ms) - max(stretch.start_ms, word.start_ms)
    return shared_ms * 2 >= word.end_ms - word.start_ms and shared_ms >= 0


def _ending(text: str) -> str:
    """The punctuation that ends a phrase."""
    return text[-1] if text[-1:] in _AFTER else ""
