"""Whether and when to try again: pure functions from what went wrong, and how often, to a decision.

Four distances. A step whose disk, database or engine failed is done again within a minute (`soon_s`). A recording that
the carrier does not give yet is asked for again within minutes (`decide`). What is parked all the same begins again by
itself after minutes to hours (`parked_s`). An erasure that somebody asked for is never given up (`erasing_s`).
"""

from dataclasses import dataclass

from callreel.domain.errors import CarrierError, EngineError, StoreError

FIRST_S = 1.0
LONGEST_HERE_S = 64.0
"""A longer wait is not waited for in a stage, which would keep others from their turn: the recording is parked till then."""
CUT_ATTEMPTS = 6
"""A body that arrives broken this often is not a passing fault."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: an HTTP status, or None with `what` for a broken connection or a broken file.

    `retry_after_s` is what the carrier asked for, if it did.
    """

    what: str
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again after this long."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Park:
    """Asking again is no use now; a person is told why. `after_s`: not to be begun again before, if the carrier said so."""

    why: str
    after_s: float | None = None


def decide(problem: Problem, attempt: int, *, max_attempts: int, spread: float) -> Again | Park:
    """What to do after failure number `attempt` (from 1). `spread` in 0..1 is the caller's random jitter.

    404 means "not ready" for a recording that was just announced (reference/twilio.md, section 6.3), 429 and 5xx
    pass; a refusal of our credentials or of the request does not.
    """
    if problem.status in (401, 403):
        return Park(
            f"the carrier refused our credentials ({problem.status}): check TWILIO_API_KEY_SID and its secret"
        )
    if problem.status is not None and 400 <= problem.status < 500 and problem.status not in (404, 408, 429):
        return Park(f"the carrier refused the request ({problem.status})")
    limit = max_attempts if problem.status is not None else min(max_attempts, CUT_ATTEMPTS)
    if attempt >= limit:
        return Park(f"{problem.what}, {attempt} times")
    backoff = min(LONGEST_HERE_S, FIRST_S * 2.0 ** min(attempt - 1, 10)) * (0.5 + 0.5 * spread)
    wait_s = max(backoff, problem.retry_after_s or 0.0)
    if wait_s > LONGEST_HERE_S:
        return Park(f"{problem.what} and asks to wait {wait_s:.0f} s", wait_s)
    return Again(wait_s)


SOON_S = (1.0, 4.0, 15.0, 40.0)
FIRST_PARKED_S = 60.0
LONGEST_PARKED_S = 4 * 3600.0
MOST_RETRIES = 24
"""The last one about three days after the first failure; then only a person begins it again."""


def soon_s(error: Exception, attempt: int, *, spread: float) -> float | None:
    """How long after failure number `attempt` (from 1) of a step it is done again; None where that is no use.

    What the machine did to us passes: a database that is locked, full or away, a disk, an engine whose process died.
    """
    passes = isinstance(error, StoreError | EngineError | OSError) or (
        isinstance(error, CarrierError) and error.retryable
    )
    if not passes or attempt > len(SOON_S):
        return None
    return SOON_S[attempt - 1] * (0.5 + 0.5 * spread)


def parked_s(retries: int, *, spread: float) -> float | None:
    """How long after it was parked a recording begins again, `retries` times before; None where a person has to."""
    if retries >= MOST_RETRIES:
        return None
    return min(LONGEST_PARKED_S, FIRST_PARKED_S * 2.0**retries) * (1.0 + 0.2 * spread)


FIRST_ERASING_S = 15.0


def erasing_s(attempt: int, *, spread: float, asked_s: float | None = None) -> float:
    """How long after failure number `attempt` (from 1) an erasure goes on; `asked_s` is what the carrier asked for."""
    wait_s = min(LONGEST_PARKED_S, FIRST_ERASING_S * 2.0 ** min(attempt - 1, 12)) * (1.0 + 0.2 * spread)
    return max(wait_s, asked_s or 0.0)
