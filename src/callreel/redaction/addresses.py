"""Street addresses: a house number, a name and a word such as `street`, with what follows up to a postcode.

Names of people and places without a number need a model (`find.NameFinder`).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from callreel.domain.redaction import Entity
from callreel.redaction.numbers import Found
from callreel.redaction.tokens import Token

_STREETS: Final = frozenset(
    "street avenue road boulevard lane drive court terrace parkway highway crescent broadway st ave rd blvd".split()
)
_LONGEST_NAME: Final = 3
_TO_POSTCODE: Final = 8


def find_addresses(tokens: Sequence[Token]) -> Iterator[Found]:
    """The addresses in one party's tokens."""
    for at, token in enumerate(tokens):
        if token.text not in _STREETS:
            continue
        names = range(at - 1, max(-1, at - 2 - _LONGEST_NAME), -1)
        number = next((place for place in names if tokens[place].digits), None)
        if number is None or number == at - 1:
            continue
        while number > 0 and tokens[number - 1].digits:
            number -= 1
        ends = range(at + 1, min(len(tokens), at + 1 + _TO_POSTCODE))
        postcode = next((place for place in ends if len(tokens[place].digits) == 5), at)
        yield Found(Entity.ADDRESS, tokens[number].word, tokens[postcode].word)
