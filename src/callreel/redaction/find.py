"""Finds the sensitive data of a transcript: every kind of `Entity`, by party, as stretches of time.

Recognizers work on one party's words in the order of time, so that a number may be interrupted by the other party; the
words that announce it count from both. No recognizer needs a model; names do (`NameFinder`), where one is installed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Turn, Word, words_of
from callreel.redaction.addresses import find_addresses
from callreel.redaction.context import Context, mentions_of
from callreel.redaction.dates import find_birth_dates
from callreel.redaction.emails import find_emails
from callreel.redaction.numbers import Found, NumberFinder
from callreel.redaction.tokens import tokens_of

NameFinder = Callable[[str], Iterable[tuple[Entity, int, int]]]
"""From a turn's text to entities with the offsets of their first character and of the one after their last."""

APART_MS: Final = 2_000
"""A longer pause within an entity, and the other party's speech in it, are not redacted."""


@dataclass(frozen=True, slots=True)
class FindOptions:
    """`regions` are ISO countries whose phone numbers may lack a country code. `kinds` are the wanted entities."""

    regions: Sequence[str] = ("US",)
    kinds: frozenset[Entity] = frozenset(Entity)
    names: NameFinder | None = None


def find_entities(turns: Sequence[Turn], options: FindOptions = FindOptions()) -> list[Stretch]:  # noqa: B008
    """The sensitive stretches of a transcript, in the order of time; stretches of one party do not overlap."""
    words = {role: _words(turns, role) for role in Role}
    tokens = {role: tokens_of(words[role]) for role in Role}
    context = Context(mention for role in Role for mention in mentions_of(tokens[role], words[role]))
    found: list[Stretch] = []
    for role in Role:
        said, spoken = words[role], tokens[role]
        # The first kind to claim a word gets it.
        claims = [
            *find_emails(spoken, said, context),
            *find_birth_dates(spoken, said, context),
            *NumberFinder(said, context, options.regions).find(spoken),
            *find_addresses(spoken),
        ]
        found += _stretches(role, said, (claim for claim in claims if claim.entity in options.kinds))
    if options.names is not None:
        found += _named(turns, options.names, options.kinds)
    return sorted(_apart(found), key=lambda stretch: (stretch.start_ms, stretch.role))


def _words(turns: Sequence[Turn], role: Role) -> list[Word]:
    said = [word for turn in turns if turn.role is role for word in words_of(turn)]
    return sorted(said, key=lambda word: word.start_ms)


def _stretches(role: Role, words: Sequence[Word], found: Iterable[Found]) -> Iterator[Stretch]:
    """An entity that is interrupted by a long pause is several stretches."""
    for one in found:
        start_ms, end_ms = words[one.first].start_ms, words[one.first].end_ms
        for word in words[one.first + 1 : one.last + 1]:
            if word.start_ms - end_ms > APART_MS:
                yield Stretch(role, one.entity, start_ms, end_ms)
                start_ms = word.start_ms
            end_ms = max(end_ms, word.end_ms)
        yield Stretch(role, one.entity, start_ms, end_ms)


def _named(turns: Sequence[Turn], names: NameFinder, kinds: frozenset[Entity]) -> Iterator[Stretch]:
    for turn in turns:
        places, text = [], ""
        for word in words_of(turn):
            places.append((len(text), len(text) + len(word.text), word))
            text += word.text + " "
        for entity, first, stop in names(text):
            inside = [word for start, end, word in places if start < stop and end > first]
            if inside and entity in kinds:
                yield Stretch(turn.role, entity, inside[0].start_ms, inside[-1].end_ms)


def _apart(found: Iterable[Stretch]) -> Iterator[Stretch]:
    """Stretches that were found first win over later ones that overlap them."""
    kept: list[Stretch] = []
    for stretch in found:
        if not any(stretch.overlap_ms(other) for other in kept):
            kept.append(stretch)
            yield stretch
