"""Search tokens: folded letters and digits, with their places in the original text. Pure.

Folding is compatibility decomposition and case folding (Unicode, UAX 15 and section 3.13) without combining marks. A
token is a run of letters and digits; each Chinese or Japanese character is a token, since these scripts put no spaces
between words (reference/engine.md, section 3). Both databases store these tokens and fold nothing themselves.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LONGEST_TOKEN: Final = 200
"""In folded characters; the rest is cut. PostgreSQL accepts lexemes of up to 2,046 bytes."""

# Letters that Unicode does not decompose although people type them without their stroke, dot or ligature.
_UNDECOMPOSED: Final = str.maketrans(
    {"ł": "l", "ø": "o", "ı": "i", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe"}
)

# Han with its extensions, Hiragana, Katakana.
_ALONE: Final = ((0x3005, 0x3007), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF))


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is folded; `start` and `end` are offsets in the original text."""

    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, in order."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    letters: list[str] = []
    start = 0
    for place, character in enumerate(text):
        for folded in _folded(character):
            if letters and (folded == " " or _is_alone(folded)):
                # One character may hold two tokens, as ¼ does.
                yield _token(letters, start, max(place, start + 1))
                letters = []
            if folded == " ":
                continue
            if _is_alone(folded):
                yield Token(folded, place, place + 1)
                continue
            if not letters:
                start = place
            letters.append(folded)
    if letters:
        yield _token(letters, start, len(text))


def _token(letters: list[str], start: int, end: int) -> Token:
    return Token("".join(letters[:LONGEST_TOKEN]), start, end)


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    """Letters and digits of one character, a space for a separator, nothing for a combining mark."""
    decomposed = unicodedata.normalize("NFKD", character).casefold().translate(_UNDECOMPOSED)
    kept = (
        c for c in unicodedata.normalize("NFKD", decomposed) if not unicodedata.category(c).startswith("M")
    )
    return "".join(c if c.isalnum() else " " for c in kept)


@lru_cache(maxsize=4096)
def _is_alone(folded: str) -> bool:
    return any(first <= ord(folded) <= last for first, last in _ALONE)
