"""Watches the live words of calls for phrases: those that pause the recording, such as "card number", and those of phrase rules.

Only words that will not change count: the stable ones of an open segment, and finals. Case and punctuation do not matter,
and a phrase may reach over the end of a segment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.phrases import Phrases, Token, TokenText, tokens_of
from callreel.domain.transcript import Word

CARRIED: Final = 12
"""Words before an open segment with which a phrase may begin."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase that was said, with its place in the live layers; `number` is the segment in which it ended."""

    call_id: CallId
    role: Role
    number: int
    start_ms: int
    end_ms: int


Watched: TypeAlias = tuple[Phrases, Role | None]
"""Phrases, and the party that must say one; None: either."""


@dataclass(slots=True)
class _Party:
    """What a party said last. Positions count the words of closed segments."""

    carried: list[Token] = field(default_factory=list)
    position: int = 0
    """Of the first carried word."""
    spent: dict[object, int] = field(default_factory=dict)
    """Up to where words were part of a match, for each key."""
    matched: set[tuple[object, int]] = field(default_factory=set)
    """Keys with the newest segments in which they matched."""


class PhraseWatch(Generic[K]):
    """`found(key, match)` is called once for each segment in which phrases of a key are said; it must not block."""

    def __init__(self, watched: Mapping[K, Watched], found: Callable[[K, Match], None]) -> None:
        self.watched = watched
        """May be replaced at any time, from any thread."""
        self._found = found
        self._parties: dict[tuple[CallId, Role], _Party] = {}

    def stable(self, call_id: CallId, role: Role, number: int, words: Sequence[Word]) -> None:
        """The words of the open segment `number` that will not change, from its beginning on."""
        if self.watched and words:
            self._look(call_id, role, number, tokens_of(words))

    def final(self, call_id: CallId, role: Role, number: int, words: Sequence[Word]) -> None:
        """The words of a closed segment."""
        if not self.watched:
            return
        said = tokens_of(words)
        self._look(call_id, role, number, said)
        party = self._party(call_id, role)
        dropped = max(0, len(party.carried) + len(said) - CARRIED)
        party.carried = [*party.carried, *said][dropped:]
        party.position += dropped
        # A segment's final may come after the first words of the next one.
        party.matched = {(key, segment) for key, segment in party.matched if segment >= number - 1}

    def forget(self, call_id: CallId) -> None:
        """The call is over."""
        for role in Role:
            self._parties.pop((call_id, role), None)

    def _party(self, call_id: CallId, role: Role) -> _Party:
        return self._parties.setdefault((call_id, role), _Party())

    def _look(self, call_id: CallId, role: Role, number: int, said: list[Token]) -> None:
        party = self._party(call_id, role)
        before = len(party.carried)
        text = TokenText([*party.carried, *said])
        for key, (phrases, of) in self.watched.items():
            if (of is not None and of is not role) or (key, number) in party.matched:
                continue
            since = min(max(0, party.spent.get(key, 0) - party.position), before)
            found = text.first_in(phrases, since, before)
            if found is None:
                continue
            party.matched.add((key, number))
            party.spent[key] = party.position + found.stop
            first, last = text.tokens[found.start], text.tokens[found.stop - 1]
            self._found(key, Match(call_id, role, number, first.start_ms, last.end_ms))
