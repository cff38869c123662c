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
    """Up to where words of closed segments were part of a match, for each key."""
    matched: dict[tuple[object, int], int] = field(default_factory=dict)
    """For keys and the newest segments in which they matched: how many words of the segment the last match ends after."""


class PhraseWatch(Generic[K]):
    """`found(key, match)` is called when a phrase of a key is said, and must not block.

    It is called once for each segment, or with `once_per_segment` False each time that a phrase is said.
    `over` is called at the end of a call.
    """

    def __init__(
        self,
        watched: Mapping[K, Watched],
        found: Callable[[K, Match], None],
        *,
        once_per_segment: bool = True,
        over: Callable[[CallId], object] = lambda call_id: None,
    ) -> None:
        self.watched = watched
        """May be replaced at any time, from any thread."""
        self._found = found
        self._once_per_segment = once_per_segment
        self._over = over
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
        for (key, segment), stop in party.matched.items():
            if segment == number:
                party.spent[key] = party.position + len(party.carried) + stop
        dropped = max(0, len(party.carried) + len(said) - CARRIED)
        party.carried = [*party.carried, *said][dropped:]
        party.position += dropped
        # A segment's final may come after the first words of the next one.
        party.matched = {place: stop for place, stop in party.matched.items() if place[1] >= number - 1}

    def forget(self, call_id: CallId) -> None:
        """The call is over."""
        for role in Role:
            self._parties.pop((call_id, role), None)
        self._over(call_id)

    def _party(self, call_id: CallId, role: Role) -> _Party:
        return self._parties.setdefault((call_id, role), _Party())

    def _look(self, call_id: CallId, role: Role, number: int, said: list[Token]) -> None:
        if not said:
            return
        party = self._party(call_id, role)
        before = len(party.carried)
        text = TokenText([*party.carried, *said])
        for key, (phrases, of) in self.watched.items():
            if of is not None and of is not role:
                continue
            while not (self._once_per_segment and (key, number) in party.matched):
                if (stop := party.matched.get((key, number))) is not None:
                    since = min(before + stop, len(text.tokens))
                else:
                    since = min(max(0, party.spent.get(key, 0) - party.position), before)
                found = text.first_in(phrases, since, before)
                if found is None:
                    break
                party.matched[key, number] = found.stop - before
                first, last = text.tokens[found.start], text.tokens[found.stop - 1]
                self._found(key, Match(call_id, role, number, first.start_ms, last.end_ms))
