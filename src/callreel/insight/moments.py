"""The moments of a call that people look for: questions, numbers and addresses given, promises, thanks and complaints. Pure.

Lists of English phrases and the recognizers of `redaction` find them, without a model; docs/insight.md has the rules and
how often they are right. Text in another language, or in an unknown one, has no moments.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.domain.transcript import Turn, Word, words_of
from callreel.domain.words import join_words
from callreel.insight import phrases
from callreel.insight.common_words import COMMON_WORDS, LANGUAGE
from callreel.insight.moment_kind import MomentKind
from callreel.redaction.addresses import find_addresses
from callreel.redaction.context import Context, mentions_of
from callreel.redaction.emails import find_emails
from callreel.redaction.masking import entity_of
from callreel.redaction.tokens import Token, tokens_of

MOST_MOMENTS: Final = 300
"""Of a call; later ones are left out."""
_LONGEST_TEXT: Final = 24
_WORDS_BEFORE: Final = 6
"""Of a sentence with more words than `_LONGEST_TEXT`, the text begins so many words before the phrase."""
_APART_MS: Final = 4_000
"""A longer pause ends a number."""
_FEWEST_DIGITS: Final = 4
_PUNCTUATED: Final = 1 / 40
"""The share of words that end a sentence; with fewer the engine writes no punctuation."""

_SENTENCE_END: Final = re.compile(r"[.?!…][\"'”’)]*$")
_ABBREVIATION: Final = re.compile(r"(?:mr|mrs|ms|dr|st|no|vs|etc|e\.g|i\.e|[a-z])\.$", re.IGNORECASE)
_AMOUNT_OR_DATE: Final = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d{1,2}|\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}"
)
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_UNITS: Final = frozenset(
    "euro euros dollar dollars bucks cent cents pound pounds quid franc francs yen percent degree degrees celsius fahrenheit"
    " meter meters metre metres centimeter centimeters millimeter millimeters kilometer kilometers mile miles inch inches foot"
    " feet yard yards liter liters litre litres gallon gallons gram grams kilo kilos kilogram kilograms ton tons ounce ounces"
    " volt volts watt watts kilowatt kilowatts amp amps hertz bar bars psi pascal hectopascal kilopascal hour hours minute"
    " minutes second seconds day days week weeks month months year years people".split()
)
_PLURAL: Final = re.compile(r"[a-z]{3,}(?<![siu])s")
_CODE: Final = re.compile(r"(?=(?:\D*\d){4})(?=\d*[a-z])[a-z\d][a-z\d-]*", re.IGNORECASE)
_MASKED_ADDRESSES: Final = frozenset({Entity.ADDRESS, Entity.EMAIL})
_MASKED_NUMBERS: Final = frozenset(
    {Entity.CARD_NUMBER, Entity.SECURITY_CODE, Entity.BANK_ACCOUNT, Entity.NATIONAL_ID, Entity.PHONE}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """`text` is what was said there: the sentence, a part of a long one, or the number."""

    kind: MomentKind
    role: Role
    start_ms: int
    end_ms: int
    text: str = field(repr=False)


def find_moments(turns: Sequence[Turn], language: str) -> list[Moment]:
    """The moments of a transcript in the order of time, at most `MOST_MOMENTS`.

    `turns` are as displayed: what is masked in them is masked in the moments. `language` is a code, empty if unknown.
    """
    if language != LANGUAGE:
        return []
    said = [(turn.role, words_of(turn)) for turn in turns]
    count = sum(len(words) for _, words in said)
    ends = sum(1 for _, words in said for word in words if _SENTENCE_END.search(word.text))
    found = [
        moment
        for role, words in said
        for sentence in _sentences(words)
        for moment in _of_sentence(role, sentence, punctuated=ends >= count * _PUNCTUATED)
    ]
    found += _numbers_and_addresses(
        {role: [w for by, words in said if by is role for w in words] for role in Role}
    )
    return sorted(found, key=lambda moment: (moment.start_ms, moment.kind, moment.role))[:MOST_MOMENTS]


def _sentences(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    first = 0
    for at, word in enumerate(words, 1):
        if at == len(words) or (_SENTENCE_END.search(word.text) and not _ABBREVIATION.match(word.text)):
            yield words[first:at]
            first = at


def _of_sentence(role: Role, words: Sequence[Word], *, punctuated: bool) -> Iterator[Moment]:
    text, starts = "", []
    for word in words:
        starts.append(len(text))
        text += word.text.casefold().replace("’", "'") + " "
    is_question = phrases.is_question(text, punctuated=punctuated)
    places = {
        MomentKind.QUESTION: 0 if is_question and phrases.is_worth_asking(text) else None,
        MomentKind.PROMISE: None if is_question else phrases.promise(text),
        MomentKind.THANKS: phrases.thanks(text),
        MomentKind.COMPLAINT: phrases.complaint(text),
    }
    for kind, place in places.items():
        if place is not None:
            at = sum(1 for start in starts if start <= place) - 1
            first = 0 if len(words) <= _LONGEST_TEXT else max(0, at - _WORDS_BEFORE)
            yield _moment(kind, role, words[first : first + _LONGEST_TEXT], cut=len(words) > _LONGEST_TEXT)


def _moment(kind: MomentKind, role: Role, words: Sequence[Word], *, cut: bool = False) -> Moment:
    text = join_words(word.text for word in words)
    return Moment(
        kind, role, words[0].start_ms, max(word.end_ms for word in words), f"{text} …" if cut else text
    )


def _numbers_and_addresses(said: Mapping[Role, Sequence[Word]]) -> Iterator[Moment]:
    tokens = {role: tokens_of(words) for role, words in said.items()}
    context = Context(one for role, words in said.items() for one in mentions_of(role, tokens[role], words))
    for role, words in said.items():
        addresses = [
            (found.first, found.last)
            for found in (*find_emails(role, tokens[role], words, context), *find_addresses(tokens[role]))
        ]
        numbers = [
            (first, last)
            for first, last in _digit_runs(tokens[role], words)
            if not any(first <= end and last >= start for start, end in addresses)
        ]
        for kind, places in ((MomentKind.ADDRESS, addresses), (MomentKind.NUMBER, numbers)):
            for first, last in places:
                yield _moment(kind, role, words[first : last + 1])
        for word in words:
            entity = entity_of(word)
            if entity in _MASKED_ADDRESSES or entity in _MASKED_NUMBERS:
                kind = MomentKind.ADDRESS if entity in _MASKED_ADDRESSES else MomentKind.NUMBER
                yield _moment(kind, role, [word])


def _digit_runs(tokens: Sequence[Token], words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """The first and the last word of each number that is given: not a year, a date, an amount, or a count."""
    run: list[Token] = []
    for token in tokens:
        if run and words[token.word].start_ms - words[run[-1].word].end_ms > _APART_MS:
            yield from _given(run, words)
            run = []
        if token.digits or (run and token.is_letter) or _CODE.fullmatch(token.text):
            run.append(token)
        else:
            yield from _given(run, words)
            run = []
    yield from _given(run, words)


def _given(run: list[Token], words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    while run and run[-1].is_letter:
        run.pop()
    digits = "".join(token.digits for token in run) + "".join(
        re.sub(r"\D", "", token.text) for token in run if not token.digits
    )
    if len(digits) < _FEWEST_DIGITS or any(token.text in ("hundred", "thousand") for token in run):
        return
    said = words[run[0].word : run[-1].word + 1]
    plain = [word.text.strip(".,;:!?") for word in said]
    if any(_AMOUNT_OR_DATE.fullmatch(text) for text in plain) or (
        len(digits) == 4 and _YEAR.fullmatch(digits)
    ):
        return
    if not _is_measured(run, words):
        yield run[0].word, run[-1].word


def _is_measured(run: Sequence[Token], words: Sequence[Word]) -> bool:
    """Whether a unit follows the number, or a plural noun a number of one word: then it is an amount or a count."""
    last = run[-1].word
    after = words[last + 1 : last + 2]
    if (
        not after
        or words[last].text.endswith(tuple(".,;:!?"))
        or after[0].start_ms - words[last].end_ms > _APART_MS
    ):
        return False
    noun = after[0].text.casefold().strip(".,;:!?…")
    is_plural = _PLURAL.fullmatch(noun) is not None and noun not in COMMON_WORDS
    return noun in _UNITS or (is_plural and run[0].word == last)
