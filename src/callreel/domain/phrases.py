"""Phrase rules: which words in a call raise an alert, and finding them in what a party said. Pure.

Phrases are compared with words in lower case, without punctuation, one space between two. RE2 does it, whose time grows
linearly with the text whatever the pattern is; with the limits here a rule costs at most some milliseconds, also a hostile one.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final, Protocol, cast

import re2

from callreel.domain.call import Role
from callreel.domain.errors import CallreelError
from callreel.domain.transcript import Word

MOST_RULES: Final = 100
MOST_PHRASES: Final = 50
LONGEST_PHRASE: Final = 200
LARGEST_RULE: Final = 2_000
"""RE2 instructions of one rule, which bound its time: about 1 µs each for the words of a segment, if all goes badly."""
MOST_SEARCHES: Final = 4
"""Searches of a rule in one text: matches that end too early are not what is looked for."""
LARGEST_RULES: Final = 5_000
"""Instructions of all enabled rules together: with `MOST_SEARCHES` about 20 ms for the words of a segment, if all goes badly."""
LONGEST_TEXT: Final = 1_000
"""Characters that are looked at: a segment has at most 27 s of speech, about 500."""
_MAX_MEMORY: Final = 1 << 17
_PIECE: Final = 40
"""Words in half of a text that is looked at."""
_WORD: Final = re.compile(r"\w+")
_NO_WORDS: Final = "  "


class PhraseError(CallreelError):
    """A phrase or a rule that cannot be used."""


class PhraseKind(StrEnum):
    """`WORDS`: words, of which the last letters may be left open (`refund*`). `REGEX`: regular expressions of RE2."""

    WORDS = "words"
    REGEX = "regex"


class Trigger(StrEnum):
    """`SAID`: the alert is raised when a phrase is said. `MISSING`: after the call, when none was said in time."""

    SAID = "said"
    MISSING = "missing"


class _Pattern(Protocol):
    """What is used of RE2, which has no annotations."""

    @property
    def programsize(self) -> int: ...

    def search(self, text: str, pos: int = 0) -> Any: ...


@dataclass(frozen=True, slots=True)
class Token:
    """A word without case and punctuation, with the times of the word that it is part of."""

    text: str
    start_ms: int
    end_ms: int


def tokens_of(words: Sequence[Word]) -> list[Token]:
    """The words as phrases are compared with them; `Card-Number` is two."""
    return [
        Token(part, word.start_ms, word.end_ms)
        for word in words
        for part in _WORD.findall(word.text.casefold())
    ]


class TokenText:
    """The text of tokens, with a space before, between and after them, and the place of each in it."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.text = f" {' '.join(token.text for token in tokens)} "
        self._starts = [0, *accumulate(len(token.text) + 1 for token in tokens)]
        """Of the space before each token, and of the last one."""

    def first_in(self, phrases: "Phrases", since: int = 0, until_after: int = 0) -> range | None:
        """The tokens of the first match that begins at token `since` or later and ends with token `until_after` or later.

        Of matches that end before that, `MOST_SEARCHES` - 1 at most are passed over, each by going on at the next token;
        then only those are found that begin at token `until_after` or later.
        """
        earliest = len(self.text) - LONGEST_TEXT
        for number in range(1, MOST_SEARCHES + 1):
            span = phrases.search(self.text, max(self._starts[since], earliest))
            if span is None:
                return None
            first = bisect_right(self._starts, span[0]) - 1
            last = bisect_right(self._starts, span[1] - 1 - (self.text[span[1] - 1] == " ")) - 1
            if first <= last and last >= until_after:
                return range(first, last + 1)
            since = max(until_after, first + 1) if number == MOST_SEARCHES - 1 else first + 1
            if since >= len(self.tokens):
                return None
        return None


class Phrases:
    """A rule's phrases, compiled. Raises PhraseError for those that RE2 refuses, or that take too long."""

    def __init__(self, phrases: Sequence[str], kind: PhraseKind = PhraseKind.WORDS) -> None:
        written = [_words_pattern(phrase) if kind is PhraseKind.WORDS else phrase for phrase in phrases]
        for number, pattern in enumerate(written, 1):
            if not pattern.strip():
                raise PhraseError(f"phrase {number} has no letter or digit")
            if _compiled(pattern, kind, number).search(_NO_WORDS) is not None:
                raise PhraseError(f"phrase {number} matches text without words")
        self._pattern = _compiled("|".join(f"(?:{pattern})" for pattern in written), kind)
        self.size: int = self._pattern.programsize
        if self.size > LARGEST_RULE:
            raise PhraseError("the phrases are too complex together: use fewer, or shorter repetitions")

    def search(self, text: str, at: int) -> tuple[int, int] | None:
        """Where the first match from `at` on begins and ends; it is never empty."""
        found = self._pattern.search(text, at)
        return None if found is None or found.end() == found.start() else (found.start(), found.end())


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """`role` None: either party. `number_prefix` empty: every number. `within_ms` is of a missing phrase; None: the whole call."""

    id: int
    name: str
    kind: PhraseKind
    phrases: tuple[str, ...]
    role: Role | None
    number_prefix: str
    trigger: Trigger
    within_ms: int | None
    enabled: bool

    def concerns(self, number: str) -> bool:
        """Whether it applies to calls with this number of the other party."""
        return number.startswith(self.number_prefix)

    def compiled(self) -> Phrases:
        """Its phrases; raises PhraseError."""
        return Phrases(self.phrases, self.kind)


def is_missing(rule: PhraseRule, phrases: Phrases, said: Callable[[Role], Sequence[Word]]) -> bool:
    """Whether no party that the rule concerns said one of its phrases in time. `said` gives a party's words in order."""
    for role in Role if rule.role is None else (rule.role,):
        words = [word for word in said(role) if rule.within_ms is None or word.start_ms <= rule.within_ms]
        tokens = tokens_of(words)
        # In pieces that overlap by half: only so much of a text is looked at.
        for first in range(0, len(tokens), _PIECE):
            if TokenText(tokens[first : first + 2 * _PIECE]).first_in(phrases) is not None:
                return False
    return True


def _words_pattern(phrase: str) -> str:
    """`refund* policy` as a pattern of whole words. Raises PhraseError without a letter or digit."""
    parts = re.findall(r"\w+\*?", phrase.casefold())
    if not parts:
        return ""
    return " ".join(part[:-1] + "[^ ]*" if part.endswith("*") else part for part in ("", *parts, ""))


def _compiled(pattern: str, kind: PhraseKind, number: int | None = None) -> _Pattern:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.case_sensitive = kind is PhraseKind.WORDS  # which are folded; an expression may have capitals
    options.log_errors = False
    try:
        return cast(_Pattern, re2.compile(pattern, options))
    except re2.error as error:
        if number is None:
            raise PhraseError("the phrases are too complex together") from None
        raise PhraseError(f"phrase {number} is not a regular expression of RE2 ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """RE2's reason without the part of the pattern that it quotes."""
    reason = error.args[0] if error.args else ""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return text.split(":")[0]
