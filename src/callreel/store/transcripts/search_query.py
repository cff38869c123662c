"""The search syntax: words, "phrases", prefixes* and -exclusions. Pure; every text is a query.

Each clause matches anywhere in a call, so two words may occur in two turns and of two parties. Case, accents and
punctuation are ignored; `e-mail` is the phrase of its two tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from callreel.domain.call import Role
from callreel.store.transcripts.search_tokens import Token, tokens

_AROUND = 60
"""How many characters of a snippet stand before its first hit."""
_LONGEST = 240
"""About the length of a snippet in characters, at most."""
MAX_CLAUSES = 32
"""Further clauses are ignored, which bounds the work of the database."""

# -"left gauge"  |  "left gauge" (the end of the text closes a quote)  |  -word  |  word
_PIECE = re.compile(r'(?P<sign>-?)(?:"(?P<quoted>[^"]*)(?:"|$)(?P<star>\*?)|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Clause:
    """Adjacent tokens. `prefix`: the last one is the beginning of a word."""

    tokens: tuple[str, ...]
    prefix: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Matches calls that contain all wanted clauses and no negated one. Without clauses it matches every call, unless it is
    `unsearchable`: text without a letter or digit, which matches none. With `role` only that party's turns count."""

    clauses: tuple[Clause, ...] = ()
    unsearchable: bool = False
    role: Role | None = None

    @property
    def wanted(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if not clause.negated)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a snippet; `hit` marks the pieces that match."""

    text: str
    hit: bool


def parse(typed: str, role: Role | None = None) -> Query:
    """Parse the words of a query, for the turns of one party or of both. Never raises."""
    clauses = (_clause(found) for found in _PIECE.finditer(typed))
    kept = [clause for clause in clauses if clause is not None]
    return Query(tuple(dict.fromkeys(kept))[:MAX_CLAUSES], not kept and bool(typed.strip()), role)


def _clause(found: re.Match[str]) -> Clause | None:
    plain, quoted = found["plain"], found["quoted"]
    if plain == "AND" and not found["sign"]:
        return None
    words = tuple(token.text for token in tokens(plain if quoted is None else quoted))
    prefix = bool(found["star"]) if plain is None else plain.endswith("*")
    return Clause(words, prefix, bool(found["sign"])) if words else None


def hits(text_tokens: Sequence[Token], wanted: Sequence[Clause]) -> list[tuple[int, int]]:
    """Where in the text of `text_tokens` the clauses match, as sorted (start, end); matches that touch are joined."""
    found = [
        (text_tokens[first].start, text_tokens[first + len(clause.tokens) - 1].end)
        for clause in wanted
        for first in range(len(text_tokens) - len(clause.tokens) + 1)
        if _matches(text_tokens, first, clause)
    ]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _matches(said: Sequence[Token], first: int, clause: Clause) -> bool:
    *whole, last = clause.tokens
    if any(said[first + n].text != token for n, token in enumerate(whole)):
        return False
    candidate = said[first + len(whole)].text
    return candidate.startswith(last) if clause.prefix else candidate == last


def snippet(text: str, found: Sequence[tuple[int, int]]) -> list[Part]:
    """`text` around its first hit, cut at spaces, with an ellipsis for each omission; without a hit its beginning."""
    first = found[0][0] if found else 0
    start = _after_space(text, first - _AROUND, first)
    end = _before_space(text, start + _LONGEST)
    parts = [Part("… ", False)] if start else []
    place = start
    for hit_start, hit_end in found:
        if hit_start >= end:
            break
        if hit_start > place:
            parts.append(Part(text[place:hit_start], False))
        parts.append(Part(text[hit_start : min(hit_end, end)], True))
        place = min(hit_end, end)
    if place < end:
        parts.append(Part(text[place:end], False))
    if end < len(text):
        parts.append(Part(" …", False))
    return parts


def beginning(text: str, longest: int) -> str:
    """The first `longest` characters of `text`, cut at a space, with an ellipsis if more follows."""
    end = _before_space(text, longest)
    return text if end == len(text) else f"{text[:end].rstrip(' –')} …"


def _after_space(text: str, wanted: int, latest: int) -> int:
    """The first start of a word after `wanted`, at most `latest`."""
    if wanted <= 0:
        return 0
    space = text.find(" ", wanted, latest)
    return latest if space < 0 else space + 1


def _before_space(text: str, wanted: int) -> int:
    if wanted >= len(text):
        return len(text)
    space = text.rfind(" ", max(0, wanted - 40), wanted)
    return wanted if space < 0 else space
