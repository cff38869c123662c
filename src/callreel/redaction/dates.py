"""Dates of birth: a date after words such as `date of birth` or `born`, by either party."""

from collections.abc import Iterator, Sequence
from typing import Final

from callreel.domain.redaction import Entity
from callreel.domain.transcript import Word
from callreel.redaction.context import Context, Topic
from callreel.redaction.numbers import Found
from callreel.redaction.tokens import Token

_MONTHS: Final = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sep"
    " sept oct nov dec".split()
)
_ORDINALS: Final = frozenset(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth thirtieth".split()
)
_BETWEEN: Final = frozenset("of the and um uh slash dash comma day".split())
WITHIN_MS: Final = 20_000


def find_birth_dates(tokens: Sequence[Token], words: Sequence[Word], context: Context) -> Iterator[Found]:
    """The dates in one party's tokens that follow a mention of a birth."""
    at = 0
    while at < len(tokens):
        end = _date_end(tokens, at)
        if end is None:
            at += 1
            continue
        if context.has(Topic.BIRTH, words[tokens[at].word].start_ms, WITHIN_MS):
            yield Found(Entity.BIRTH_DATE, tokens[at].word, tokens[end].word)
        at = end + 1


def _date_end(tokens: Sequence[Token], start: int) -> int | None:
    """The last token of the date that begins at `start`: at least two parts, or one of six digits or more."""
    end, parts = None, 0
    for at in range(start, min(len(tokens), start + 12)):
        text = tokens[at].text
        if tokens[at].digits or text in _MONTHS or text in _ORDINALS or text.rstrip("stndrh").isdecimal():
            parts += 2 if len(tokens[at].digits) >= 6 else 1
            end = at
        elif text not in _BETWEEN or at == start:
            break
    return end if parts >= 2 else None
