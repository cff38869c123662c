"""Whether and when to ask the carrier for a recording again: a pure function from (problem, attempt) to a decision."""

from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 900.0
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
    """Asking again is no use; a person is told why."""

    why: str


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
    backoff = min(LONGEST_S, FIRST_S * 2 ** (attempt - 1)) * (0.5 + 0.5 * spread)
    return Again(max(backoff, problem.retry_after_s or 0.0))
