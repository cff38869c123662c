import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import AudioFileError, CarrierError, EngineError, StoreError
from callreel.runtime.retry import (
    CUT_ATTEMPTS,
    LONGEST_HERE_S,
    LONGEST_PARKED_S,
    MOST_RETRIES,
    SOON_S,
    Again,
    Park,
    Problem,
    decide,
    parked_s,
    soon_s,
)

CREDENTIALS = "check TWILIO_API_KEY_SID and its secret"


@pytest.mark.parametrize(
    ("problem", "attempt", "decision"),
    [
        (Problem("the carrier answered 404", 404), 1, Again(1.0)),
        (Problem("the carrier answered 404", 404), 2, Again(2.0)),
        (Problem("the carrier answered 404", 404), 5, Again(16.0)),
        (Problem("the carrier answered 404", 404), 11, Again(LONGEST_HERE_S)),
        (Problem("the carrier answered 404", 404), 12, Park("the carrier answered 404, 12 times")),
        (Problem("the carrier answered 408", 408), 1, Again(1.0)),
        (Problem("the carrier answered 429", 429), 1, Again(1.0)),
        (Problem("the carrier answered 429", 429, 7.0), 1, Again(7.0)),
        (Problem("the carrier answered 429", 429, 7.0), 5, Again(16.0)),
        (Problem("the carrier answered 429", 429, 3600.0), 1, Park("the carrier answered 429 and asks to wait 3600 s", 3600.0)),
        (Problem("the carrier answered 500", 500), 3, Again(4.0)),
        (Problem("the carrier answered 503", 503, 30.0), 12, Park("the carrier answered 503, 12 times")),
        (Problem("the carrier answered 401", 401), 1, Park(f"the carrier refused our credentials (401): {CREDENTIALS}")),
        (Problem("the carrier answered 403", 403), 1, Park(f"the carrier refused our credentials (403): {CREDENTIALS}")),
        (Problem("the carrier answered 400", 400), 1, Park("the carrier refused the request (400)")),
        (Problem("the carrier answered 410", 410), 1, Park("the carrier refused the request (410)")),
        (Problem("the file broke off"), 5, Again(16.0)),
        (Problem("the file broke off"), CUT_ATTEMPTS, Park("the file broke off, 6 times")),
    ],
)  # fmt: skip
def test_decisions(problem: Problem, attempt: int, decision: Again | Park) -> None:
    assert decide(problem, attempt, max_attempts=12, spread=1.0) == decision


def test_spread_takes_away_up_to_half() -> None:
    problem = Problem("the carrier answered 500", 500)
    assert decide(problem, 4, max_attempts=12, spread=0.0) == Again(4.0)
    assert decide(problem, 4, max_attempts=12, spread=0.5) == Again(6.0)


def test_broken_bodies_end_sooner_where_fewer_attempts_are_allowed() -> None:
    assert decide(Problem("it broke"), 2, max_attempts=2, spread=0.0) == Park("it broke, 2 times")


@given(
    status=st.one_of(st.none(), st.integers(100, 599)),
    attempt=st.integers(1, 100),
    most=st.integers(1, 50),
    spread=st.floats(0, 1),
    wait_s=st.one_of(st.none(), st.floats(0, 86_400)),
)
def test_every_problem_ends(
    status: int | None, attempt: int, most: int, spread: float, wait_s: float | None
) -> None:
    decision = decide(Problem("it failed", status, wait_s), attempt, max_attempts=most, spread=spread)
    if isinstance(decision, Again):
        assert attempt < most
        assert max(0.5, wait_s or 0) <= decision.after_s <= LONGEST_HERE_S
    else:
        assert decision.why and "\n" not in decision.why


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (StoreError("the database failed: database is locked"), True),
        (EngineError("the engine process died"), True),
        (OSError(28, "No space left on device"), True),
        (CarrierError("the carrier answered 503", retryable=True, status=503), True),
        (CarrierError("the carrier answered 401", retryable=False, status=401), False),
        (AudioFileError("this is no WAV file"), False),
        (ValueError("a fault of ours"), False),
    ],
)
def test_a_step_is_done_again_within_a_minute_where_what_failed_passes(
    error: Exception, passes: bool
) -> None:
    waits = [soon_s(error, attempt, spread=1.0) for attempt in range(1, len(SOON_S) + 2)]
    assert waits == ([*SOON_S, None] if passes else [None] * len(waits))
    assert sum(SOON_S) == 60


def test_what_is_parked_begins_again_after_a_minute_and_then_ever_later() -> None:
    assert [parked_s(n, spread=0.0) for n in (0, 1, 2, 6, 8)] == [60, 120, 240, 3_840, LONGEST_PARKED_S]
    assert parked_s(0, spread=1.0) == 72, "not all at once"
    assert parked_s(MOST_RETRIES, spread=0.0) is None, "then a person has to"
