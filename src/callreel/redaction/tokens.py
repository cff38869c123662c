"""The words of one party as tokens: digits however they are spoken or written, letters, and everything else.

Engines write the same number as `4412 8890`, `4, 4, 1, 2`, `four four one two`, `44 12` or a mixture, and speakers say
`oh`, `double seven` and `triple two`. A token keeps the word it comes from, so that whatever is found has its time.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from callreel.domain.transcript import Word

_UNITS: Final = {
    "zero": "0", "oh": "0", "nought": "0", "naught": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "niner": "9",
}  # fmt: skip
_TEENS: Final = {
    word: str(number)
    for number, word in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 10
    )
}
_TENS: Final = {
    word: str(number)
    for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_ROUND: Final = {"hundred": "00", "thousand": "000"}
_TIMES: Final = {"double": 2, "triple": 3, "treble": 3}
_ALIKE: Final = {
    "o": "0",
    "go": "0",
    "to": "2",
    "too": "2",
    "for": "4",
    "fore": "4",
    "won": "1",
    "ate": "8",
    "tree": "3",
}
"""Words that engines write for digits; digits only between two others."""
SOUND_LIKE: Final = frozenset(
    {
        *_ALIKE,
        "give",
        "fine",
        "hive",
        "dive",
        "floor",
        "forth",
        "do",
        "free",
        "heaven",
        "sick",
        "nein",
        "mine",
        "hero",
        "ziro",
        "owe",
    }  # fmt: skip
)
"""These and others belong to a number beside whose digits they are."""

_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_MEASURE: Final = re.compile(r"[$€£]|\d%|^\d{1,3}[.:]\d{1,2}$|^\d+(?:st|nd|rd|th)$")
_PRICE: Final = re.compile(r"[$€£%]")
_NUMBER: Final = re.compile(r"^[+(]?\d[\d()\-–./, ]*$")
_PIECE: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|@|\.(?=[^\W_])")
_EDGES: Final = ".,;:!?…\"'“”‘’()[]-–—"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is folded; `digits` is empty unless it is a number without a unit. `word` is an index of the party's words."""

    text: str
    word: int
    digits: str = ""
    times: int = 1
    """How often the next digit is said: 2 for `double`."""
    measured: str = ""
    """The digits of what looks like a measurement (`0.5`) or an ordinal (`61st`)."""

    @property
    def is_letter(self) -> bool:
        return len(self.text) == 1 and self.text.isalpha()


def tokens_of(words: Sequence[Word]) -> list[Token]:
    """The tokens of consecutive words of one party, with combined numbers (`forty one`) and resolved repeats."""
    found = [token for number, word in enumerate(words) for token in _tokens_of_word(word.text, number)]
    return list(_combined(list(_between_digits(found))))


def _tokens_of_word(text: str, word: int) -> Iterator[Token]:
    folded = unicodedata.normalize("NFKC", text).casefold().strip(_EDGES.replace("(", "").replace("-", ""))
    plain = folded.strip(_EDGES)
    if _EMAIL.search(plain):
        yield Token(plain, word)
    elif _MEASURE.search(plain):
        yield Token(plain, word, measured="" if _PRICE.search(plain) else re.sub(r"\D", "", plain))
    elif _NUMBER.match(plain):
        yield Token(plain, word, re.sub(r"\D", "", plain))
    else:
        for piece in _PIECE.findall(plain):
            yield _token(piece.replace("’", "'"), word)


def _token(piece: str, word: int) -> Token:
    if piece.isdecimal():
        return Token(piece, word, piece)
    digits = _UNITS.get(piece) or _TEENS.get(piece) or (f"{_TENS[piece]}0" if piece in _TENS else "")
    return Token(piece, word, digits or _ROUND.get(piece, ""), _TIMES.get(piece, 1))


def _between_digits(tokens: Sequence[Token]) -> Iterator[Token]:
    """Words that only sound like digits become digits between two of them."""
    for at, token in enumerate(tokens):
        near = [*tokens[max(0, at - 1) : at], *tokens[at + 1 : at + 2]]
        if token.text in _ALIKE and len(near) == 2 and all(other.digits or other.times > 1 for other in near):
            token = Token(token.text, token.word, _ALIKE[token.text])
        yield token


def _combined(tokens: Sequence[Token]) -> Iterator[Token]:
    """`forty`, `one` as 4 and 1; `double` as the digit after it, which is said twice then."""
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.times > 1 and after is not None and after.digits:
            token = replace(token, digits=after.digits[0] * (token.times - 1))
        elif token.text in _TENS and after is not None and after.text in _UNITS and after.digits != "0":
            token = replace(token, digits=token.digits[0])
        yield token
