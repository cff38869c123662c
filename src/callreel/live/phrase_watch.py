"""Watches the live words of calls for phrases that pause the recording, such as "card number".

Only words that will not change count: the stable ones of an open segment, and finals. Case and punctuation do not matter,
and a phrase may reach over the end of a segment.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.transcript import Word

_WORD = re.compile(r"\w+")

Token = tuple[str, int]
"""A word without case and punctuation, and where it ends, in ms of the live layers."""


class PhraseWatch:
    """`found(call_id, at_ms)` is called once for each phrase that is said; it must not block."""

    def __init__(self, phrases: Iterable[str], found: Callable[[CallId, int], None]) -> None:
        self._phrases = [parts for phrase in phrases if (parts := _WORD.findall(phrase.casefold()))]
        self._found = found
        self._before: dict[tuple[CallId, Role], list[Token]] = {}
        self._last_ms: dict[tuple[CallId, Role], int] = {}

    def stable(self, call_id: CallId, role: Role, words: Sequence[Word]) -> None:
        """The words of an open segment that will not change, from its beginning on."""
        party = (call_id, role)
        tokens = [*self._before.get(party, ()), *_tokens(words)]
        since_ms = self._last_ms.get(party, -1)
        for phrase in self._phrases:
            for at in range(len(tokens) - len(phrase), -1, -1):
                end_ms = tokens[at + len(phrase) - 1][1]
                if end_ms <= since_ms:
                    break
                if [token for token, _ in tokens[at : at + len(phrase)]] == phrase:
                    self._last_ms[party] = tokens[-1][1]
                    return self._found(call_id, end_ms)

    def final(self, call_id: CallId, role: Role, words: Sequence[Word]) -> None:
        """The words of a closed segment."""
        self.stable(call_id, role, words)
        longest = max(map(len, self._phrases))
        tokens = [*self._before.get((call_id, role), ()), *_tokens(words)]
        self._before[call_id, role] = tokens[len(tokens) - longest + 1 :] if longest > 1 else []

    def forget(self, call_id: CallId) -> None:
        """The call is over."""
        for role in Role:
            self._before.pop((call_id, role), None)
            self._last_ms.pop((call_id, role), None)


def _tokens(words: Sequence[Word]) -> list[Token]:
    return [(part, word.end_ms) for word in words for part in _WORD.findall(word.text.casefold())]
