"""What a number is probably about: the words said before it, by either party.

`what is your card number` and the digits that follow are in different turns, so the words of both parties count.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callreel.domain.call import Role
from callreel.domain.transcript import Word
from callreel.redaction.tokens import Token

LOOK_BACK_MS: Final = 45_000
LOOK_AHEAD_MS: Final = 6_000
UNRELATED_MS: Final = 8_000
OWN_UNRELATED_MS: Final = 3_000
"""A number that is not sensitive follows its announcement soon, and at once where one party says both."""


class Topic(StrEnum):
    """What a phrase announces. `UNRELATED` announces a number that is not sensitive."""

    CARD = "card"
    SECURITY_CODE = "security_code"
    BANK = "bank"
    NATIONAL_ID = "national_id"
    PHONE = "phone"
    EMAIL = "email"
    BIRTH = "birth"
    UNRELATED = "unrelated"


_PHRASES: Final = {
    Topic.CARD: (
        r"(?:card|cart|car|carb) number|card member|(?:credit|debit|payment|bank) car[dt]?|visa|master ?card|amex|american express|discover card"
        r"|maestro|number on the (?:card|front)|long number|sixteen digits?|16 digits?|(?:my|your|the|that) card"
    ),
    Topic.SECURITY_CODE: (
        r"secur\w*(?: \w+)? (?:code|number|digits)|c[vb]+[vcbd]2?|c [vb] [vcbd]|cid|see vv|card verification|\w+cation (?:code|value)|code (?:on|of) (?:the|your) card"
        r"|(?:three|four|3|4) digits?(?: number| code)? (?:on|at|from)"
        r"|(?:code|number|digits) (?:on|at) the (?:back|front|reverse)|security"
    ),
    Topic.BANK: (
        r"(?:account|accounts|routing|transit) numbers?|bank account|sort code|i ?ban|(?:checking|savings?) account"
        r"|direct debit|bank details|swift"
    ),
    Topic.NATIONAL_ID: (
        r"social security|s ?s ?n|social(?: number)?|national insurance|(?:national|identity|personal) (?:id|number|card)"
        r"|passport|driver'?s licen[cs]e|driving licen[cs]e|licen[cs]e number|tax (?:id|identification|payer)|taxpayer"
        r"|medicare"
    ),
    Topic.PHONE: (
        r"(?:tele)?phone|cell(?:ular)?|mobile|call ?back|call (?:me|you|him|her|us|them)|called (?:me|you)|reach (?:me|you)"
        r"|text (?:me|you)|contact number|fax|dial|calling from|ring (?:me|you)|best number|(?:what|which) number|(?:my|your|her|his) number"
    ),
    Topic.EMAIL: r"e ?mails?|remail|mail address|(?:which|where|with) (?:\w )?g?mail|(?:i|to) mail|(?:send|mail) (?:it|that|this|the \w+) to|\w+ address for",
    Topic.BIRTH: r"date of birth|birth ?dates?|birthday|birth|born(?: on| in)?|d ?o ?b",
    Topic.UNRELATED: (
        r"serial|order|model|ticket|reference|confirmation|case|tracking|part|invoice|meter|job|extension|version|unit"
        r"|pressure|reading|flight|room|gate|item|product|error|code is|minutes|hours|degrees"
    ),
}
_ALL: Final = re.compile(
    r"\b(?:" + "|".join(f"(?P<{topic}>{phrase})" for topic, phrase in _PHRASES.items()) + r")\b"
)


_ASKED_FOR: Final = re.compile(
    r"\b(?:"
    + "|".join(
        f"(?P<{topic}>{phrase})"
        for topic, phrase in (
            *((topic, _PHRASES[topic]) for topic in Topic if topic is not Topic.UNRELATED),
            (
                Topic.UNRELATED,
                r"(?:serial|order|model|ticket|reference|invoice|case|tracking|part) (?:number|code)",
            ),
        )
    )
    + r")\b"
)


def last_topic(text: str) -> Topic | None:
    """What a question asks for: its last topic. An unrelated number counts where it is one, not in `send the invoice`."""
    topics = [match.lastgroup for match in _ASKED_FOR.finditer(text)]
    return Topic(topics[-1]) if topics and topics[-1] else None


@dataclass(frozen=True, slots=True)
class Mention:
    topic: Topic
    at_ms: int
    role: Role


class Context:
    """The mentions of both parties, in the order of time."""

    def __init__(self, mentions: Iterable[Mention]) -> None:
        self._mentions = sorted(mentions, key=lambda mention: mention.at_ms)

    def nearest(
        self, role: Role, start_ms: int, end_ms: int, among: Iterable[Topic] = tuple(Topic)
    ) -> Topic | None:
        """The last topic before a number that `role` says, else the first one shortly after it."""
        wanted = frozenset(among)
        for mention in reversed(self._mentions):
            reach_ms = LOOK_BACK_MS
            if mention.topic is Topic.UNRELATED:
                reach_ms = OWN_UNRELATED_MS if mention.role is role else UNRELATED_MS
            if mention.topic in wanted and start_ms - reach_ms <= mention.at_ms <= start_ms:
                return mention.topic
        after = [m for m in self._mentions if start_ms < m.at_ms <= end_ms + LOOK_AHEAD_MS]
        return next((mention.topic for mention in after if mention.topic in wanted), None)

    def changes(self, began_ms: int, start_ms: int, end_ms: int, *, card: bool = False) -> bool:
        """Whether somebody announces another number in a pause of the one that began at `began_ms`.

        In a `card` number, words such as `part` and `unit` are more likely digits that the engine misunderstood.
        """
        return any(
            start_ms <= mention.at_ms < end_ms
            and not (mention.topic is Topic.CARD and self.has(Topic.CARD, began_ms))
            and not (mention.topic is Topic.UNRELATED and card)
            for mention in self._mentions
        )

    def asked(self, topic: Topic, role: Role, start_ms: int, within_ms: int) -> bool:
        """Whether the other party mentioned the topic in the time before."""
        return any(
            mention.topic is topic
            and mention.role is not role
            and start_ms - within_ms <= mention.at_ms <= start_ms
            for mention in self._mentions
        )

    def questions(self, topic: Topic, role: Role) -> list[int]:
        """When the other party mentioned the topic."""
        return [one.at_ms for one in self._mentions if one.topic is topic and one.role is not role]

    def has(self, topic: Topic, start_ms: int, within_ms: int = LOOK_BACK_MS) -> bool:
        """Whether the topic was mentioned in the time before."""
        return any(
            mention.topic is topic and start_ms - within_ms <= mention.at_ms <= start_ms
            for mention in self._mentions
        )


def mentions_of(role: Role, tokens: Sequence[Token], words: Sequence[Word]) -> list[Mention]:
    """The mentions in one party's speech."""
    starts, text = [], ""
    for token in tokens:
        starts.append(len(text))
        text += token.text + " "
    found, at = [], 0
    for match in _ALL.finditer(text):
        while at + 1 < len(starts) and starts[at + 1] <= match.start():
            at += 1
        assert match.lastgroup is not None
        found.append(Mention(Topic(match.lastgroup), words[tokens[at].word].start_ms, role))
    return found
