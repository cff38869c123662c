"""Numbers in one party's speech: card numbers, security codes, bank accounts, national ids and phone numbers.

A run is a sequence of digits with only fillers, or at most two other words, between them; it continues over the other
party's turns. Checksums (Luhn: ISO/IEC 7812-1, annex B; mod 97: ISO 7064) and numbering plans decide where they can. An
engine that misses a digit breaks every checksum, so the words before a run count too (`context.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
_MOST_IN_CARD: Final = 5
"""The same where a card number is said: its digits may be written as any words."""
_WHOLE_CARD: Final = 15
_NEARLY_CARD: Final = 12
_FEWEST_OF_CARD: Final = 8
_FEWEST_ASKED: Final = 6
"""Digits that the engine wrote of a card number, at least; the second where nothing else was announced since."""
_CARD_ASKED_MS: Final = 12_000
_CODE_ASKED_MS: Final = 8_000
_LONGEST_ANSWER: Final = 8
_MOST_GARBLED: Final = 4
_GARBLED_PAUSE_MS: Final = 1_000
"""Words beside the digits of a card of which the engine wrote too few are digits too: up to so many, with such pauses."""
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
_ORDINARY: Final = frozenset(
    "yeah yep right sure sorry see let wait it that this my your card number numbers is are was on the it's that's thanks thank please bye okay with which code"
    " security expires expiry expiration date got go ahead hello hi yes no what can call me".split()
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
        tokens = [self._measured(token) for token in tokens]
        found = [*_written(tokens)]
        taken = {word for one in found for word in range(one.first, one.last + 1)}
        for run in self._runs([token for token in tokens if token.word not in taken]):
            run = self._with_short_code(run, tokens)
            found += [self._with_neighbours(one, tokens) for one in self._entities(run)]
        return found

    def _measured(self, token: Token) -> Token:
        """In a card number, what looks like a measurement is some of its digits."""
        return replace(token, digits=token.measured) if token.measured and self._in_card([token]) else token

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
            between = [token.text for token in tokens[at + 1 : after] if token.times == 1]
            card = self._in_card(run)
            unit = not card and any(text in _UNITS and text not in SOUND_LIKE for text in between[:2])
            others = sum(
                text not in _FILLERS and text not in SOUND_LIKE and len(text) > 1 for text in between
            )
            apart = unit or others > (_MOST_IN_CARD if card else _MOST_OTHER_WORDS) or after == len(tokens)
            if not apart and not self._interrupted(run[0], tokens[at], tokens[after], others, card):
                whole &= not others
                continue
            if unit:
                run.pop()  # a measurement ends what was said before it
            if run:
                yield Run(tuple(run), whole)
            run, whole = [], True

    def _in_card(self, run: Sequence[Token]) -> bool:
        """Whether these may be the first digits of a card number that somebody announced."""
        if sum(len(token.digits) for token in run) >= _WHOLE_CARD:
            return False
        start_ms, end_ms = self._words[run[0].word].start_ms, self._words[run[-1].word].end_ms
        return self._context.nearest(self._role, start_ms, end_ms, _NUMBERED) is Topic.CARD

    def _interrupted(self, first: Token, token: Token, after: Token, others: int, card: bool) -> bool:
        """Whether a new number begins with `after`: a long pause, another topic, or other talk in a pause is between."""
        end_ms, start_ms = self._words[token.word].end_ms, self._words[after.word].start_ms
        short = others >= _MOST_OTHER_WORDS and not card
        if start_ms - end_ms > (LONGEST_TALK_MS if short else LONGEST_PAUSE_MS):
            return True
        return self._context.changes(self._words[first.word].start_ms, end_ms, start_ms, card=card)

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
        of_card = self._context.nearest(self._role, start_ms, end_ms, _NUMBERED) in _CARD_TOPICS or (
            count >= _NEARLY_CARD and self._context.has(Topic.CARD, start_ms, _CARD_ASKED_MS)
        )
        if count <= 2 and topic is Topic.SECURITY_CODE and self._is_short_answer(run, start_ms):
            return Entity.SECURITY_CODE
        if 3 <= count <= 4:
            code = topic is Topic.SECURITY_CODE or (
                topic is Topic.CARD and self._context.has(Topic.SECURITY_CODE, start_ms, 12_000)
            )
            return Entity.SECURITY_CODE if code else None
        if of_card and count >= (_FEWEST_ASKED if topic is Topic.CARD else _FEWEST_OF_CARD):
            return Entity.CARD_NUMBER
        for wanted, entity in ((Topic.NATIONAL_ID, Entity.NATIONAL_ID), (Topic.BANK, Entity.BANK_ACCOUNT)):
            if topic is wanted and count >= 5:
                return entity
        if topic is Topic.PHONE and 6 <= count <= 16:
            return Entity.PHONE
        if topic is not Topic.UNRELATED and 7 <= count <= 15 and self._is_phone(run):
            return Entity.PHONE
        alike = count in (15, 16) and run.whole and _CARD.fullmatch(digits)
        return Entity.CARD_NUMBER if alike else None

    def _is_short_answer(self, run: Run, start_ms: int) -> bool:
        """Whether these few digits are all that the engine wrote of a security code that was asked for just now."""
        if not self._context.asked(Topic.SECURITY_CODE, self._role, start_ms, _CODE_ASKED_MS):
            return False
        first = next(at for at, word in enumerate(self._words) if word.start_ms > start_ms - _CODE_ASKED_MS)
        return run.tokens[0].word - first < _LONGEST_ANSWER

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
            sounds = token.text in SOUND_LIKE or token.times > 1
            return sounds or (one.entity in _LETTERED and token.is_letter)

        places = [at for at, token in enumerate(tokens) if one.first <= token.word <= one.last]
        first, last = places[0], places[-1]
        while first > 0 and belongs(tokens[first - 1]):
            first -= 1
        while last + 1 < len(tokens) and belongs(tokens[last + 1]):
            last += 1
        written = sum(len(tokens[at].digits) for at in places)
        question_ms = self._words[tokens[first].word].start_ms
        asked = one.entity is not Entity.PHONE or self._context.asked(
            Topic.PHONE, self._role, question_ms, _CARD_ASKED_MS
        )
        if asked and written < _WHOLE.get(one.entity, 0):
            first, last = self._garbled(tokens, first, -1), self._garbled(tokens, last, 1)
        return Found(one.entity, tokens[first].word, tokens[last].word)

    def _garbled(self, tokens: Sequence[Token], at: int, step: int) -> int:
        """The last of the words from `at` in one direction that follow at once and are not ordinary ones."""
        end = at
        for beside in range(at + step, at + step * (_MOST_GARBLED + 1), step):
            if not 0 <= beside < len(tokens) or tokens[beside].text in _ORDINARY:
                break
            earlier, later = sorted((tokens[beside - step].word, tokens[beside].word))
            if self._words[later].start_ms - self._words[earlier].end_ms > _GARBLED_PAUSE_MS:
                break
            if tokens[beside].text not in _FILLERS:
                end = beside
        return end


_WHOLE: Final = {Entity.CARD_NUMBER: _WHOLE_CARD, Entity.SECURITY_CODE: 3, Entity.PHONE: 10}
"""With fewer digits than these, the engine wrote some as other words."""
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
