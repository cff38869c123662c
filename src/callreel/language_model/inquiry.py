"""The requests for one answer that a person waits for: a deadline for all of them, progress, and what they took.

The requests of a stage, which a queue retries, are not among them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from callreel.domain.errors import LanguageModelError, UnusableAnswerError
from callreel.insight.answer import Form, parse, schema
from callreel.insight.prompts import Message
from callreel.language_model.cancellation import Cancellation
from callreel.language_model.chat_server import ChatAnswer, ChatServer
from callreel.language_model.usage import TokenPrices, Usage, usage_of
from callreel.runtime.clock import Clock

LONGEST_S: Final = 240.0
"""For all requests."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`answered` of `requests` are; those read `calls_read` of `calls`."""

    answered: int
    requests: int
    calls_read: int
    calls: int


@dataclass(frozen=True, slots=True)
class Watch:
    """How the person who waits follows the requests, and cancels them."""

    report: Callable[[Progress], object] = lambda progress: None
    cancellation: Cancellation = field(default_factory=Cancellation)


class Inquiry:
    """Blocking. It begins when it is made."""

    def __init__(self, server: ChatServer, clock: Clock, watch: Watch) -> None:
        """Raises LanguageModelError while the server gets too many requests."""
        if (pause_s := server.pause_s) > 0:
            raise LanguageModelError(
                "the language model's server gets too many requests",
                retryable=True, status=429, retry_after_s=pause_s,
            )  # fmt: skip
        self._server = server
        self._clock = clock
        self._watch = watch
        self._started_s = clock.monotonic_s()
        self._answers: list[ChatAnswer] = []

    @property
    def duration_ms(self) -> int:
        return round(1000 * (self._clock.monotonic_s() - self._started_s))

    def usage(self, prices: TokenPrices) -> Usage:
        return usage_of(self._answers, prices)

    def report(self, progress: Progress) -> None:
        self._watch.report(progress)

    def reply(self, messages: Sequence[Message], form: type[Form]) -> Form:
        """The answer to one request, which is repeated once if it cannot be used.

        Raises LanguageModelError, CancelledRequestError.
        """
        try:
            return self._reply(messages, form)
        except UnusableAnswerError:
            return self._reply(messages, form)

    def _reply(self, messages: Sequence[Message], form: type[Form]) -> Form:
        left_s = self._started_s + LONGEST_S - self._clock.monotonic_s()
        if left_s <= 0:
            raise _too_late()
        timeout_s = min(left_s, self._server.access.timeout_s)
        try:
            answer = self._server.complete(messages, schema(form), timeout_s, self._watch.cancellation)
        except LanguageModelError:
            if timeout_s == left_s and self._clock.monotonic_s() >= self._started_s + LONGEST_S:
                raise _too_late() from None
            raise
        self._answers.append(answer)
        return parse(answer.text, form)


def _too_late() -> LanguageModelError:
    return LanguageModelError(
        f"the language model did not answer within {LONGEST_S:g} s: ask about fewer calls, or use a faster model",
        retryable=True,
    )
