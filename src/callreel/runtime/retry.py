"""Whether and when to try again: a pure function from an error, and how often it happened, to a decision.

The wait doubles from a second to four hours. What a later attempt cannot mend by itself, or did not mend for a while, is
parked: a person sees it with its reason, and work that can do without it goes on. It is tried again all the same, for
about three days; then only a person does.
"""

import random
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, wait_exponential

from callreel.domain.errors import CallErasedError, CarrierError, EngineError, StoreAwayError, StoreError

FIRST_S = 1.0
LONGEST_S = 4 * 3600.0
FIRST_PARKED_S = 60.0
LONGEST_UNPARKED_S = 64.0
"""The carrier may ask for a longer wait; then a person should know of it."""
CUT_ATTEMPTS = 6
"""A download that breaks off this often is not a passing fault."""
LOCAL_ATTEMPTS = 6
"""A database, disk or engine that fails for a minute is not a passing fault."""
LAST_ATTEMPT = 32
"""About three days after the first failure."""


@dataclass(frozen=True, slots=True)
class Retry:
    """`why` is one line for people, without secrets. `after_s` is None where only a person tries again, or, of what is
    not parked, where there is nothing left to do."""

    why: str
    after_s: float | None
    parked: bool = False


class Backoff:
    """Waits that double from `first_s` to `longest_s`."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._wait = wait_exponential(multiplier=first_s, max=longest_s)

    def after_s(self, failure: int, jitter: float | None = None) -> float:
        """The wait after failure number `failure` (from 1). Up to half of it is taken away at random: `jitter` in 0..1."""
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = failure
        return self._wait(state) * (0.5 + 0.5 * (random.random() if jitter is None else jitter))


_BACKOFF = Backoff(FIRST_S, LONGEST_S)


def decide(
    error: Exception, failure: int, *, park_after: int, jitter: float, last: int | None = LAST_ATTEMPT
) -> Retry:
    """What to do after failure number `failure` (from 1) of one piece of work.

    `park_after`: how many failures in a row of something that passes are normal at the carrier. `last`: after which one
    only a person tries again; None is never. `jitter` in 0..1 is random.
    """
    if isinstance(error, CallErasedError):
        return Retry(str(error), None)
    why, limit = _reason(error, park_after)
    asked_s = error.retry_after_s if isinstance(error, CarrierError) else None
    parked = failure >= limit
    if limit > 1 and parked:
        why = f"{why}, {failure} times"
    elif asked_s is not None and asked_s > LONGEST_UNPARKED_S:
        why, parked = f"{why} and asks to wait {asked_s:.0f} s", True
    if last is not None and failure > last:
        return Retry(why, None, True)
    wait_s = _BACKOFF.after_s(failure, jitter)
    return Retry(why, max(wait_s, asked_s or 0.0, FIRST_PARKED_S if parked else 0.0), parked)


def _reason(error: Exception, park_after: int) -> tuple[str, int]:
    """What went wrong in words, and how many failures of this kind in a row may be a passing fault."""
    if isinstance(error, CarrierError):
        if error.status in (401, 403):
            hint = "check TWILIO_API_KEY_SID and its secret"
            return f"the carrier refused our credentials ({error.status}): {hint}", 1
        if not error.retryable and error.status is not None:
            return f"the carrier refused the request ({error.status})", 1
        if not error.retryable:
            return str(error), 1
        return str(error), park_after if error.status is not None else min(park_after, CUT_ATTEMPTS)
    if isinstance(error, StoreAwayError):
        return str(error), park_after
    if isinstance(error, StoreError | EngineError | OSError):
        return f"{type(error).__name__}: {error}", LOCAL_ATTEMPTS
    return f"{type(error).__name__}: {error}", 1
