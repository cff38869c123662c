"""Finds the sensitive data of a transcript: every kind of `Entity`, by party, as stretches of time.

Recognizers work on one party's words in the order of time, so that a number may be interrupted by the other party; the
words that announce it count from both. No recognizer needs a model; names do (`NameFinder`), where one is installed.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Turn, Word, words_of
from callreel.redaction.addresses import find_addresses
from callreel.redaction.answers import find_answers
from callreel.redaction.context import Context, Topic, mentions_of
from callreel.redaction.dates import find_birth_dates
from callreel.redaction.emails import find_emails
from callreel.redaction.numbers import Found, NumberFinder
from callreel.redaction.tokens import tokens_of

NameFinder = Callable[[str], Iterable[tuple[Entity, int, int]]]
"""From a turn's text to entities with the offsets of their first character and of the one after their last."""

APART_MS: Final = 2_000
"""A longer pause within an entity, and the other party's speech in it, are not redacted."""
LEAD_MS: Final = 400
TAIL_MS: Final = 1_000
LOST_MS: Final = 10_000
UNWRITTEN_MS: Final = 4_000
ANSWER_MS: Final = 12_000
SHORT_ANSWER: Final = 6
"""Words, such as `Sure, that's`."""
DIGIT_MS, LETTER_MS = 600, 120
"""Engines often place the first and the last word of a segment short of what was said, and give a number that they write as
one word the time of a word. So a stretch reaches into the party's own silence before and after it: by these, or until the
other party speaks as long as saying it takes, or `LOST_MS` in which the engine may have lost words."""


@dataclass(frozen=True, slots=True)
class FindOptions:
    """`regions` are ISO countries whose phone numbers may lack a country code. `kinds` are the wanted entities."""

    regions: Sequence[str] = ("US",)
    kinds: frozenset[Entity] = frozenset(Entity)
    names: NameFinder | None = None


def find_entities(turns: Sequence[Turn], options: FindOptions = FindOptions()) -> list[Stretch]:  # noqa: B008
    """The sensitive stretches of a transcript, in the order of time."""
    words = {role: _words(turns, role) for role in Role}
    tokens = {role: tokens_of(words[role]) for role in Role}
    context = Context(mention for role in Role for mention in mentions_of(role, tokens[role], words[role]))
    found: list[Stretch] = []
    end_ms = max((word.end_ms for said in words.values() for word in said), default=0)
    for role in Role:
        said, spoken = words[role], tokens[role]
        asking = words[role.other], tokens[role.other]
        found += [
            one for one in find_answers(role, said, spoken, asking, end_ms) if one.entity in options.kinds
        ]
        # The first kind to claim a word gets it.
        claims = [
            *find_emails(role, spoken, said, context),
            *find_birth_dates(spoken, said, context),
            *NumberFinder(role, said, context, options.regions).find(spoken),
            *find_addresses(spoken),
        ]
        wanted = [claim for claim in claims if claim.entity in options.kinds]
        found += _stretches(role, said, wanted, [word.start_ms for word in words[role.other]])
        if Entity.CARD_NUMBER in options.kinds:
            found += _unwritten(role, words, context.questions(Topic.CARD, role), found)
    if options.names is not None:
        found += _named(turns, options.names, options.kinds)
    return _apart(found)


def _words(turns: Sequence[Turn], role: Role) -> list[Word]:
    said = [word for turn in turns if turn.role is role for word in words_of(turn)]
    return sorted(said, key=lambda word: word.start_ms)


def _stretches(
    role: Role, words: Sequence[Word], found: Iterable[Found], other_starts: Sequence[int]
) -> Iterator[Stretch]:
    """An entity that is interrupted by a long pause is several stretches."""
    for one in found:
        first = one.first
        for at in range(one.first, one.last + 1):
            if at == one.last or words[at + 1].start_ms - words[at].end_ms > APART_MS:
                start_ms, end_ms = _reach(words, first, at, other_starts)
                yield Stretch(role, one.entity, start_ms, end_ms)
                first = at + 1


def _reach(words: Sequence[Word], first: int, last: int, other_starts: Sequence[int]) -> tuple[int, int]:
    """From where to where the words `first` to `last` may have been said."""
    start_ms, end_ms = words[first].start_ms, max(word.end_ms for word in words[first : last + 1])
    before_ms = words[first - 1].end_ms if first else 0
    text = "".join(word.text for word in words[first : last + 1])
    said_ms = sum(DIGIT_MS if character.isdigit() else LETTER_MS for character in text)
    answer = bisect_left(other_starts, end_ms)
    answer_ms = other_starts[answer] if answer < len(other_starts) else end_ms
    latest_ms = max(end_ms + TAIL_MS, min(max(start_ms + said_ms, end_ms + LOST_MS), answer_ms))
    if last + 1 < len(words):
        latest_ms = min(latest_ms, words[last + 1].start_ms)
    before = bisect_left(other_starts, start_ms)
    question_ms = other_starts[before - 1] if before else 0
    earliest_ms = max(before_ms, min(start_ms - LEAD_MS, max(question_ms, end_ms - said_ms)))
    return min(start_ms, earliest_ms), max(end_ms, latest_ms)


def _unwritten(
    role: Role, words: Mapping[Role, Sequence[Word]], questions: Sequence[int], found: Sequence[Stretch]
) -> Iterator[Stretch]:
    """Where an answer to the question for a card number begins, and then no words are: the engine may have written none.

    It is silence otherwise, of which nothing is lost.
    """
    everything = sorted((word for said in words.values() for word in said), key=lambda word: word.start_ms)
    for question_ms in questions:
        answer = [word for word in words[role] if question_ms < word.start_ms < question_ms + ANSWER_MS]
        for number, word in enumerate(answer[:SHORT_ANSWER]):
            later = (one.start_ms for one in everything if one.start_ms > word.start_ms)
            end_ms = next(later, word.end_ms)
            gap = Stretch(role, Entity.CARD_NUMBER, word.end_ms, end_ms)
            if end_ms - word.end_ms >= UNWRITTEN_MS:
                if not any(one.entity is gap.entity and one.overlap_ms(gap) for one in found):
                    yield replace(gap, start_ms=answer[0].start_ms if number else word.start_ms)
                break


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


def _apart(found: Iterable[Stretch]) -> list[Stretch]:
    """Stretches of one kind that overlap become one; those that were found first win over others that lie mostly in them."""
    kept: list[Stretch] = []
    for stretch in found:
        overlapping = [at for at, other in enumerate(kept) if stretch.overlap_ms(other)]
        same = [at for at in overlapping if kept[at].entity is stretch.entity]
        if same:
            start_ms = min(stretch.start_ms, kept[same[0]].start_ms)
            kept[same[0]] = replace(
                stretch, start_ms=start_ms, end_ms=max(stretch.end_ms, kept[same[0]].end_ms)
            )
        elif not any(
            2 * stretch.overlap_ms(kept[at]) > stretch.end_ms - stretch.start_ms for at in overlapping
        ):
            kept.append(stretch)
    return sorted(kept, key=lambda one: (one.start_ms, one.role))
