"""Numbers in one party's speech: card numbers, security codes, bank accounts, national ids and phone numbers.

A run is a sequence of digits with only fillers, or at most two other words, between them; it continues over the other
party's turns. Checksums (Luhn: ISO/IEC 7812-1, annex B; mod 97: ISO 7064) and numbering plans decide where they can. An
engine that misses a digit breaks every checksum, so the words before a run count too (`context.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import phonenumbers
from stdnum import iban, luhn

from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.domain.transcript import Word
from callreel.redaction.context import Context, Topic
from callreel.redaction.tokens import SOUND_LIKE, Token

LONGEST_PAUSE_MS: Final = 20_000
"""Between two digits of one number, for example while the other party repeats the first ones."""
LONGEST_TALK_MS: Final = 2_000
"""The same where other words are said too."""
_MOST_OTHER_WORDS: Final = 2
_FILLERS: Final = frozenset(
    "um uh uhm erm er and then okay ok so dash hyphen space slash comma yeah yes yep right sure mhm hm mm the next is it's"
    " that's you know sorry let me see wait ah now plus".split()
)
_UNITS: Final = frozenset(
    "minute minutes hour hours second seconds degree degrees percent psi bar volt volts amp amps dollar dollars euro euros"
    " pound pounds cents point o'clock am pm inch inches foot feet meter meters metres kilo kilos day days week weeks month"
    " months year years times people floor floors block blocks gallons liters litres watts hertz thousandths".split()
)
_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[0-8]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14}|6\d{15,18}|6\d{12}"
)
_CARD_TOPICS: Final = (Topic.CARD, Topic.SECURITY_CODE)
_SSN = re.compile(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}")
_IBAN = re.compile(r"[a-z]{2}\d{2}[a-z0-9]{11,30}")


@dataclass(frozen=True, slots=True)
class Found:
    """An entity in a party's speech: the words `first` to `last`, inclusive."""

    entity: Entity
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Run:
    tokens: tuple[Token, ...]
    whole: bool
    """Whether nothing but digits and fillers was said in it."""

    @property
    def digits(self) -> str:
        return "".join(token.digits for token in self.tokens)

    def part(self, first: int, stop: int) -> "Run":
        return Run(self.tokens[first:stop], self.whole)

    def found(self, entity: Entity) -> Found:
        return Found(entity, self.tokens[0].word, self.tokens[-1].word)


class NumberFinder:
    """Finds the numbers of one party. `regions` are ISO countries whose numbering plans apply, besides international ones."""

    def __init__(self, role: Role, words: Sequence[Word], context: Context, regions: Sequence[str]) -> None:
        self._role = role
        self._words = words
        self._context = context
        self._regions = regions

    def find(self, tokens: Sequence[Token]) -> list[Found]:
        found = [*_written(tokens)]
        taken = {word for one in found for word in range(one.first, one.last + 1)}
        for run in self._runs([token for token in tokens if token.word not in taken]):
            run = self._with_short_code(run, tokens)
            found += [self._with_neighbours(one, tokens) for one in self._entities(run)]
        return found

    def _with_short_code(self, run: Run, tokens: Sequence[Token]) -> Run:
        """A run of one or two digits with the words beside it that sound like digits, where a security code is said."""
        start_ms = self._words[run.tokens[0].word].start_ms
        if len(run.digits) > 2 or not self._context.has(Topic.SECURITY_CODE, start_ms, 12_000):
            return run
        place = tokens.index(run.tokens[0])
        first = place
        while first > 0 and tokens[first - 1].text in SOUND_LIKE:
            first -= 1
        sounds = [Token(token.text, token.word, "0") for token in tokens[first:place]]
        return Run((*sounds, *run.tokens), run.whole)

    def _runs(self, tokens: Sequence[Token]) -> Iterator[Run]:
        numbers = [at for at, token in enumerate(tokens) if token.digits]
        run: list[Token] = []
        whole = True
        for at, after in pairwise([*numbers, len(tokens)]):
            run.append(tokens[at])
            between = [token.text for token in tokens[at + 1 : after]]
            unit = any(text in _UNITS for text in between[:2])
            others = sum(
                text not in _FILLERS and text not in SOUND_LIKE and len(text) > 1 for text in between
            )
            apart = unit or others > _MOST_OTHER_WORDS or after == len(tokens)
            if not apart and not self._interrupted(run[0], tokens[at], tokens[after], others):
                whole &= not others
                continue
            if unit:
                run.pop()  # a measurement ends what was said before it
            if run:
                yield Run(tuple(run), whole)
            run, whole = [], True

    def _interrupted(self, first: Token, token: Token, after: Token, others: int) -> bool:
        """Whether a new number begins with `after`: a long pause, another topic, or other talk in a pause is between."""
        end_ms, start_ms = self._words[token.word].end_ms, self._words[after.word].start_ms
        if start_ms - end_ms > (LONGEST_PAUSE_MS if others < _MOST_OTHER_WORDS else LONGEST_TALK_MS):
            return True
        return self._context.changes(self._words[first.word].start_ms, end_ms, start_ms)

    def _entities(self, run: Run) -> Iterator[Found]:
        # Where a card number is said, all digits of a run are: a part of it may pass the checksum by chance.
        asked = self._entity(run) is Entity.CARD_NUMBER and not _CARD.fullmatch(run.digits)
        card = None if asked else self._checked_card(run)
        if card is not None:
            first, stop = card
            if first:
                yield from self._entities(run.part(0, first))
            yield run.part(first, stop).found(Entity.CARD_NUMBER)
            if stop < len(run.tokens):
                yield from self._entities(run.part(stop, len(run.tokens)))
            return
        entity = self._entity(run)
        if entity is not None:
            yield run.found(entity)

    def _checked_card(self, run: Run) -> tuple[int, int] | None:
        """The longest stretch of tokens whose digits are a card number by prefix, length and checksum."""
        count = len(run.tokens)
        for size in range(count, 0, -1):
            for first in range(count - size + 1):
                digits = run.part(first, first + size).digits
                if 13 <= len(digits) <= 19 and _CARD.fullmatch(digits) and luhn.is_valid(digits):
                    return first, first + size
        return None

    def _entity(self, run: Run) -> Entity | None:
        digits, count = run.digits, len(run.digits)
        start_ms, end_ms = (
            self._words[run.tokens[0].word].start_ms,
            self._words[run.tokens[-1].word].end_ms,
        )
        topic = self._context.nearest(self._role, start_ms, end_ms)
        of_card = self._context.nearest(self._role, start_ms, end_ms, _NUMBERED) in _CARD_TOPICS
        if 3 <= count <= 4:
            code = topic is Topic.SECURITY_CODE or (
                topic is Topic.CARD and self._context.has(Topic.SECURITY_CODE, start_ms, 12_000)
            )
            return Entity.SECURITY_CODE if code else None
        if of_card and count >= 8:
            return Entity.CARD_NUMBER
        for wanted, entity in ((Topic.NATIONAL_ID, Entity.NATIONAL_ID), (Topic.BANK, Entity.BANK_ACCOUNT)):
            if topic is wanted and count >= 5:
                return entity
        if topic is Topic.PHONE and 6 <= count <= 16:
            return Entity.PHONE
        if topic is not Topic.UNRELATED and 7 <= count <= 15 and self._is_phone(run):
            return Entity.PHONE
        return Entity.CARD_NUMBER if count in (15, 16) and run.whole and _CARD.fullmatch(digits) else None

    def _is_phone(self, run: Run) -> bool:
        digits = run.digits
        written = [("+" + digits, None), *((digits, region) for region in self._regions)]
        for text, region in written:
            try:
                parsed = phonenumbers.parse(text, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(parsed) and (region is not None or len(digits) > 10):
                return True
        return False

    def _with_neighbours(self, one: Found, tokens: Sequence[Token]) -> Found:
        """The same with the words around it that sound like digits, and letters, as a passport number or an IBAN has."""

        def belongs(token: Token) -> bool:
            return token.text in SOUND_LIKE or (one.entity in _LETTERED and token.is_letter)

        places = [at for at, token in enumerate(tokens) if one.first <= token.word <= one.last]
        first, last = places[0], places[-1]
        while first > 0 and belongs(tokens[first - 1]):
            first -= 1
        while last + 1 < len(tokens) and belongs(tokens[last + 1]):
            last += 1
        return Found(one.entity, tokens[first].word, tokens[last].word)


_LETTERED: Final = (Entity.BANK_ACCOUNT, Entity.NATIONAL_ID)
_NUMBERED: Final = tuple(topic for topic in Topic if topic not in (Topic.EMAIL, Topic.BIRTH))


def _written(tokens: Sequence[Token]) -> Iterator[Found]:
    """Numbers in one word that are certain without context."""
    for token in tokens:
        compact = re.sub(r"[\s-]", "", token.text)
        if _SSN.fullmatch(token.text):
            yield Found(Entity.NATIONAL_ID, token.word, token.word)
        elif _IBAN.fullmatch(compact) and iban.is_valid(compact):
            yield Found(Entity.BANK_ACCOUNT, token.word, token.word)
