"""Retry policy: a pure function from an error and the number of failures to a decision.

The wait doubles from a second to four hours. Work that fails permanently, or for too long, is parked: the operations page
shows it with its reason, and other work that does not need its result continues. Parked work is retried for about three
days; after that only a person can retry it.
"""

import math
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, wait_exponential

from callreel.domain.errors import (
    CallErasedError,
    CarrierError,
    EngineError,
    LanguageModelError,
    MailError,
    RequestError,
    StoreError,
    StoreUnavailableError,
    UnusableAnswerError,
)

FIRST_S = 1.0
LONGEST_S = 4 * 3600.0
FIRST_PARKED_S = 60.0
LONGEST_UNPARKED_S = 64.0
"""If the other server requests a longer wait, the work is parked, so that a person sees it."""
CUT_ATTEMPTS = 6
"""A download that breaks off this often is not a transient fault."""
LOCAL_ATTEMPTS = 6
"""A database, disk or engine that fails for a minute is not a transient fault."""
LAST_ANSWERED = 3
"""Answers of a language model that cannot be used: each costs money, and the next one is rarely better."""
LAST_ATTEMPT = 32
"""About three days after the first failure."""


@dataclass(frozen=True, slots=True)
class Retry:
    """`reason` is one line for people, without secrets. `after_s` is None if only a person can retry, or, for work that is not
    parked, if nothing is left to do."""

    reason: str
    after_s: float | None
    parked: bool = False


class Backoff:
    """Waits that double from `first_s` to `longest_s`."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._wait = wait_exponential(multiplier=first_s, max=longest_s)

    def after_s(self, failure: int, jitter: float | None = None) -> float:
        """The wait after failure number `failure` (from 1), shortened at random by up to half: `jitter` in 0..1."""
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = failure
        return self._wait(state) * (0.5 + 0.5 * (random.random() if jitter is None else jitter))


_BACKOFF = Backoff(FIRST_S, LONGEST_S)


def requested_wait_s(headers: Mapping[str, str]) -> float | None:
    """The wait that an answer requests, from `Retry-After` in seconds, or OpenAI's own header in milliseconds.

    None without one, and for a date, which no server of ours sends.
    """
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            wait_s = float(headers[name]) / divisor
            if math.isfinite(wait_s) and wait_s >= 0:
                return wait_s
    return None


def decide(
    error: Exception, failure: int, *, park_after: int, jitter: float, last: int | None = LAST_ATTEMPT
) -> Retry:
    """The decision after failure number `failure` (from 1) of one piece of work.

    `park_after` is the number of consecutive transient failures of the other server after which work is parked. After failure
    `last` only a person can retry; None means never. `jitter` in 0..1 is random.
    """
    if isinstance(error, CallErasedError):
        return Retry(str(error), None)
    reason, limit = _reason(error, park_after)
    requested_s = error.retry_after_s if isinstance(error, RequestError) else None
    if isinstance(error, UnusableAnswerError):
        last = LAST_ANSWERED - 1
    parked = failure >= limit
    if limit > 1 and parked:
        reason = f"{reason}, {failure} times"
    elif requested_s is not None and requested_s > LONGEST_UNPARKED_S:
        reason, parked = f"{reason} and requests a wait of {requested_s:.0f} s", True
    if last is not None and failure > last:
        return Retry(reason, None, True)
    wait_s = _BACKOFF.after_s(failure, jitter)
    return Retry(reason, max(wait_s, requested_s or 0.0, FIRST_PARKED_S if parked else 0.0), parked)


def _reason(error: Exception, park_after: int) -> tuple[str, int]:
    """The error as one line, and the number of consecutive failures of this kind after which it is not transient."""
    if isinstance(error, CarrierError):
        if error.status in (401, 403):
            hint = "check TWILIO_API_KEY_SID and its secret"
            return f"the carrier refused our credentials ({error.status}): {hint}", 1
        if not error.retryable and error.status is not None:
            return f"the carrier refused the request ({error.status})", 1
        if not error.retryable:
            return str(error), 1
        return str(error), park_after if error.status is not None else min(park_after, CUT_ATTEMPTS)
    if isinstance(error, LanguageModelError | MailError):
        return str(error), park_after if error.retryable else 1
    if isinstance(error, StoreUnavailableError):
        return str(error), park_after
    if isinstance(error, StoreError | EngineError | OSError):
        return f"{type(error).__name__}: {error}", LOCAL_ATTEMPTS
    return f"{type(error).__name__}: {error}", 1
