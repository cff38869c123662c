"""E-mail addresses as they are said (`maria dot lopez at example dot com`, `m a r i a at gmail`) and as engines write them."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.domain.transcript import Word
from callreel.redaction.context import Context, Topic
from callreel.redaction.numbers import Found
from callreel.redaction.tokens import Token

_ENDINGS: Final = frozenset("com net org edu gov io co uk ca au de fr es nl info biz".split())
_PROVIDERS: Final = frozenset("gmail yahoo hotmail outlook icloud aol proton protonmail gmx example".split())
_AT: Final = frozenset({"at", "@"})
_DOT: Final = frozenset({"dot", ".", "point", "period"})
_JOINERS: Final = _DOT | {"underscore", "dash", "hyphen", "plus"}
_STOPS: Final = frozenset(
    "is it's its to my your the a an e-mail email mail address me on write send contact you reach and then okay so at that"
    " that's was use as for with in of i i'm am we he she they it's please sure yes yeah no um uh".split()
)
_HARD_STOPS: Final = frozenset("is it's e-mail email mail address to contact".split())
"""Where the engine may have written anything for `at`, an address begins after one of these."""
_LONGEST_NAME: Final = 24
"""Tokens; a name may be spelled letter by letter."""
_LONGEST_DOMAIN: Final = 16
_IS: Final = frozenset("is in as it's".split())
_ADDRESS: Final = frozenset("e-mail email mail address".split())
_ASKED_MS: Final = 10_000
_PAUSE_MS: Final = 1_000
_LONGEST_ANSWER: Final = 14
_ENDING = re.compile(r"dot(com|net|org)")


def find_emails(
    role: Role, tokens: Sequence[Token], words: Sequence[Word], context: Context
) -> Iterator[Found]:
    """The addresses in one party's tokens. An answer to a question for one is an address whatever the engine wrote."""
    found = list(_addresses(tokens, words, context))
    for at in range(1, len(tokens) - 1):
        if tokens[at].text not in _IS or tokens[at - 1].text not in _ADDRESS:
            continue
        first = tokens[at + 1].word
        last = _utterance_end(words, first)
        inside = [one for one in found if one.first <= last and one.last >= first]
        if inside or context.asked(Topic.EMAIL, role, words[first].start_ms, _ASKED_MS):
            found = [one for one in found if one not in inside]
            found.append(Found(Entity.EMAIL, first, max((one.last for one in inside), default=last)))
    yield from found


def _utterance_end(words: Sequence[Word], first: int) -> int:
    last = first
    while last + 1 < min(len(words), first + _LONGEST_ANSWER):
        if words[last + 1].start_ms - words[last].end_ms > _PAUSE_MS:
            break
        last += 1
    return last


def _addresses(tokens: Sequence[Token], words: Sequence[Word], context: Context) -> Iterator[Found]:
    at = 0
    while at < len(tokens):
        token = tokens[at]
        last = at
        if "@" in token.text and len(token.text) > 3:
            yield Found(Entity.EMAIL, token.word, token.word)
        elif token.text in _AT and (end := _domain_end(tokens, at + 1)) is not None:
            first = _name_start(tokens, at)
            if first == at and context.has(Topic.EMAIL, words[token.word].start_ms, 30_000):
                first = _name_start(tokens, at, _HARD_STOPS)  # a letter may have become `and` or `I`
            if first < at:
                last = end
                yield Found(Entity.EMAIL, tokens[first].word, tokens[end].word)
        elif _is_ending(tokens, at) and context.has(Topic.EMAIL, words[token.word].start_ms, 30_000):
            # The engine wrote another word for `at`.
            first, last = _name_start(tokens, at, _HARD_STOPS), at + (token.text in _DOT)
            yield Found(Entity.EMAIL, tokens[first].word, tokens[last].word)
        at = last + 1


def _domain_end(tokens: Sequence[Token], start: int) -> int | None:
    """The last token of a domain that begins at `start`."""
    for at in range(start, min(len(tokens), start + _LONGEST_DOMAIN)):
        if _is_ending(tokens, at):
            end = at + (tokens[at].text in _DOT)
            while _is_ending(tokens, end + 1):  # co.uk
                end += 1 + (tokens[end + 1].text in _DOT)
            return end
        if tokens[at].text in _PROVIDERS and not _is_ending(tokens, at + 1):
            return at
        if at > start + 3 and not (tokens[at].is_letter or tokens[at].digits):
            return None
    return None


def _is_ending(tokens: Sequence[Token], at: int) -> bool:
    """Whether `dot com` begins at `at`, as one token or two."""
    if at >= len(tokens):
        return False
    if _ENDING.fullmatch(tokens[at].text):
        return True
    return tokens[at].text in _DOT and at + 1 < len(tokens) and tokens[at + 1].text in _ENDINGS


def _name_start(tokens: Sequence[Token], at: int, stops: frozenset[str] = _STOPS) -> int:
    """The first token of the name that ends before `at`."""
    first = at
    while first > 0 and at - first < _LONGEST_NAME:
        before = tokens[first - 1]
        joined = first < at and tokens[first].text in _JOINERS
        beside = first < at and (tokens[first].is_letter or bool(tokens[first].digits))
        spelled = before.is_letter or before.digits or before.text in _JOINERS or before.times > 1
        if before.text in stops and not joined and not (before.is_letter and (beside or first == at)):
            break
        if not (spelled or joined or at - first < (3 if stops is _STOPS else 6)):
            break
        first -= 1
    return first
