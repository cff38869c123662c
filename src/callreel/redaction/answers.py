"""What somebody says when the other party has just asked for sensitive data: sensitive, whatever the engine wrote of it.

An engine that gets a spelled address or a quickly said code wrong writes ordinary words, or none. So after such a question
all of the answer is redacted, also where nothing is written, but for the ordinary words at its beginning and end. An answer
that declines, or asks back, is none.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Word
from callreel.redaction.context import Topic, last_topic
from callreel.redaction.tokens import Token

_ENTITIES: Final = {
    Topic.CARD: (Entity.CARD_NUMBER, 30_000),
    Topic.SECURITY_CODE: (Entity.SECURITY_CODE, 10_000),
    Topic.PHONE: (Entity.PHONE, 20_000),
    Topic.EMAIL: (Entity.EMAIL, 20_000),
}
"""What is asked for, and how long an answer may take."""
_QUESTION: Final = 14
"""Tokens at the end of what was said before the answer."""
_ASKS: Final = re.compile(
    r"\b(?:what|what's|which|where|can i|could i|may i|can you|could you|will you|would you|do you have|give me|read|tell me"
    r"|i need|we need|go ahead|please|and (?:the|your|a|you|what|is))\b"
)
_ACKNOWLEDGED: Final = 3
"""Tokens of the asking party that do not end an answer, such as `okay, go ahead`."""
_UNWRITTEN_MS: Final = 1_500
"""Neither party says anything for so long, or the engine wrote none of it."""
_FEWEST: Final = 3
"""Digits of a number; fewer are in `I don't have one` too."""
_SPELLED: Final = 4
"""Letters that show that an address was asked for."""
_WORD_MS: Final = 500
"""An engine that lost words often gives their time to the word before."""
_LEAD_MS: Final = 180
_OWN: Final = re.compile(r"\bmy\b|^please use\b|\bdot\b|@|\bthe \w+ is\b")
"""Says something itself."""
_NAMES: Final = {
    Topic.EMAIL: frozenset({"email", "mail", "address"}),
    Topic.PHONE: frozenset({"number", "phone", "cell", "mobile"}),
}
_IS: Final = frozenset({"is", "it's"})
_BEGIN: Final = frozenset(
    "it's it is that that's this sure yes yeah yep okay ok so um uh well right alright my the number card phone cell mobile e mail"
    " email address code let me see find turn over get you can call reach at on back please use i'm i'll write to just a second"
    " one moment hold and of course".split()
)
_END: Final = frozenset("thanks thank you please okay ok bye done".split())
_DECLINES: Final = frozenset(
    "no not don't do why what who how when where which haven't hasn't nothing none same already sorry can't won't didn't wait".split()
)


@dataclass(frozen=True, slots=True)
class _Utterance:
    """Tokens of one party that the other does not interrupt."""

    tokens: tuple[Token, ...]
    start_ms: int
    end_ms: int
    last_ms: int
    """When the last token began."""

    @property
    def text(self) -> str:
        return " ".join(token.text for token in self.tokens[-_QUESTION:])


def find_answers(
    role: Role,
    words: Sequence[Word],
    tokens: Sequence[Token],
    asking: tuple[Sequence[Word], Sequence[Token]],
    end_ms: int,
) -> Iterator[Stretch]:
    """What `role` answers. `asking`: words and tokens of the other party. `end_ms`: of the call.

    Also a card number that `role` announces, or that was said before its security code, where no words are written.
    """
    said = [_utterance([token], words) for token in tokens]
    starts = sorted(word.start_ms for spoken in (words, asking[0]) for word in spoken)
    asked = _utterances(*asking, [word.start_ms for word in words])
    for at, question in enumerate(asked):
        topic = last_topic(question.text)
        if topic not in _ENTITIES or _OWN.search(question.text):
            continue
        entity, longest_ms = _ENTITIES[topic]
        until_ms = min(_next_ms(asked[at + 1 :], end_ms), question.end_ms + longest_ms)
        answer = [one for one in said if question.end_ms <= one.start_ms < until_ms]
        spelled = sum(one.tokens[0].is_letter for one in answer) >= _SPELLED
        if not (spelled or _ASKS.search(question.text)):
            continue
        digits = sum(len(one.tokens[0].digits) for one in answer)
        if digits < _FEWEST and any(one.text in _DECLINES for one in answer[:4]):
            continue
        stretch = _sensitive(topic, answer, question.end_ms, until_ms)
        if stretch is not None:
            yield Stretch(role, entity, *stretch)
        if topic is Topic.SECURITY_CODE and at:
            yield from _unwritten_card(role, said, asked[at - 1].end_ms, question.start_ms)
    for one in _utterances(words, tokens, [word.start_ms for word in asking[0]]):
        later = bisect_right(starts, one.last_ms)
        next_ms = starts[later] if later < len(starts) else end_ms
        announced = last_topic(one.text) is Topic.CARD and "number" in one.text
        if announced and next_ms - one.end_ms >= 2 * _UNWRITTEN_MS:
            yield Stretch(role, Entity.CARD_NUMBER, one.last_ms, next_ms)


def _unwritten_card(
    role: Role, said: Sequence[_Utterance], start_ms: int, until_ms: int
) -> Iterator[Stretch]:
    """Before a security code its card is read out, even where the engine wrote neither the question nor the number."""
    before = [one for one in said if start_ms <= one.start_ms < until_ms]
    if before and until_ms - max(one.end_ms for one in before) >= 2 * _UNWRITTEN_MS:
        yield Stretch(role, Entity.CARD_NUMBER, before[0].start_ms, until_ms)


def _sensitive(
    topic: Topic, answer: Sequence[_Utterance], start_ms: int, until_ms: int
) -> tuple[int, int] | None:
    """From where to where an answer is not ordinary words."""
    named = [
        at + 1
        for at, (one, after) in enumerate(pairwise(answer), 1)
        if one.text in _NAMES.get(topic, ()) and after.text in _IS
    ]
    answer = answer[named[-1] :] if named else answer
    special = [one for one in answer if one.text not in _BEGIN or one.tokens[0].digits]
    if not special:
        # Words that tell nothing: only where they leave time for others.
        start_ms = answer[0].start_ms if answer else start_ms
        unwritten_ms = until_ms - start_ms - _WORD_MS * len(answer)
        return (start_ms, until_ms) if unwritten_ms > _UNWRITTEN_MS else None
    start_ms = max(special[0].start_ms - _LEAD_MS, answer[0].start_ms)
    for one in reversed(answer):
        if one.text not in _END or one.tokens[0].digits or until_ms - one.end_ms > 2 * _UNWRITTEN_MS:
            break
        until_ms = one.start_ms
    return (start_ms, until_ms) if start_ms < until_ms else None


def _utterances(
    words: Sequence[Word], tokens: Sequence[Token], other_starts: Sequence[int]
) -> list[_Utterance]:
    found: list[_Utterance] = []
    said: list[Token] = []
    for token in tokens:
        word = words[token.word]
        if said:
            before = words[said[-1].word]
            later = bisect_right(other_starts, before.start_ms)
            interrupted = later < len(other_starts) and other_starts[later] < word.start_ms
            if interrupted or word.start_ms - before.end_ms > _UNWRITTEN_MS:
                found.append(_utterance(said, words))
                said = []
        said.append(token)
    if said:
        found.append(_utterance(said, words))
    return found


def _utterance(tokens: Sequence[Token], words: Sequence[Word]) -> _Utterance:
    first, last = words[tokens[0].word], words[tokens[-1].word]
    return _Utterance(tuple(tokens), first.start_ms, last.end_ms, last.start_ms)


def _next_ms(later: Sequence[_Utterance], end_ms: int) -> int:
    """When the asking party says more than that they have understood."""
    return next((one.start_ms for one in later if len(one.tokens) > _ACKNOWLEDGED), end_ms)
