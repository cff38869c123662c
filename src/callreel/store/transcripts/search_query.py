"""What a person types to search: words, "phrases", beginnings* and -not. Pure; every text is a query.

Each clause is asked for in the whole call, so two words may be said in two turns and by two people. Capitals, accents
and punctuation do not count; `e-mail` is the phrase of its two tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from callreel.store.transcripts.search_tokens import Token, tokens

MOST_CLAUSES = 32
"""Beyond these a query is cut, so that nobody makes the database work for an hour."""

# -"left gauge"  |  "left gauge" (the end of the text closes a quote)  |  -word  |  word
_PIECE = re.compile(r'(?P<sign>-?)(?:"(?P<quoted>[^"]*)(?:"|$)(?P<star>\*?)|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Clause:
    """Tokens that stand side by side. `prefix`: the last one is the beginning of a word."""

    tokens: tuple[str, ...]
    prefix: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """All wanted clauses are said in the call and no unwanted one is."""

    clauses: tuple[Clause, ...] = ()

    @property
    def wanted(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if not clause.negated)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a snippet; `hit` pieces are what was searched for."""

    text: str
    hit: bool


def parse(typed: str) -> Query:
    """The query of what was typed; without any clause when it holds no letter or digit. Never raises."""
    clauses = (_clause(found) for found in _PIECE.finditer(typed))
    kept = [clause for clause in clauses if clause is not None]
    return Query(tuple(dict.fromkeys(kept))[:MOST_CLAUSES])


def _clause(found: re.Match[str]) -> Clause | None:
    plain, quoted = found["plain"], found["quoted"]
    if plain == "AND" and not found["sign"]:
        return None
    said = tuple(token.text for token in tokens(plain if quoted is None else quoted))
    prefix = bool(found["star"]) if plain is None else plain.endswith("*")
    return Clause(said, prefix, bool(found["sign"])) if said else None


def hits(said: Sequence[Token], wanted: Sequence[Clause]) -> list[tuple[int, int]]:
    """Where in the text of `said` the clauses are, as (start, end), joined where they touch and in order."""
    found = [
        (said[first].start, said[first + len(clause.tokens) - 1].end)
        for clause in wanted
        for first in range(len(said) - len(clause.tokens) + 1)
        if _matches(said, first, clause)
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


def snippet(text: str, found: Sequence[tuple[int, int]], around: int = 60, longest: int = 240) -> list[Part]:
    """`text` around its first hit, cut at spaces, with an ellipsis where something was left out.

    The parts together are at most about `longest` characters; without a hit it is the beginning of the text.
    """
    first = found[0][0] if found else 0
    start = _after_space(text, first - around, first)
    end = _before_space(text, start + longest)
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


def _after_space(text: str, wanted: int, latest: int) -> int:
    """A place from `wanted` on where a word begins, `latest` if there is none before it."""
    if wanted <= 0:
        return 0
    space = text.find(" ", wanted, latest)
    return latest if space < 0 else space + 1


def _before_space(text: str, wanted: int) -> int:
    if wanted >= len(text):
        return len(text)
    space = text.rfind(" ", max(0, wanted - 40), wanted)
    return wanted if space < 0 else space
