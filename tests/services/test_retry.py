import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.services.retry import CUT_ATTEMPTS, LONGEST_S, Again, Park, Problem, decide

CREDENTIALS = "check TWILIO_API_KEY_SID and its secret"


@pytest.mark.parametrize(
    ("problem", "attempt", "decision"),
    [
        (Problem("the carrier answered 404", 404), 1, Again(1.0)),
        (Problem("the carrier answered 404", 404), 2, Again(2.0)),
        (Problem("the carrier answered 404", 404), 5, Again(16.0)),
        (Problem("the carrier answered 404", 404), 11, Again(LONGEST_S)),
        (Problem("the carrier answered 404", 404), 12, Park("the carrier answered 404, 12 times")),
        (Problem("the carrier answered 408", 408), 1, Again(1.0)),
        (Problem("the carrier answered 429", 429), 1, Again(1.0)),
        (Problem("the carrier answered 429", 429, 7.0), 1, Again(7.0)),
        (Problem("the carrier answered 429", 429, 7.0), 5, Again(16.0)),
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
        assert max(0.5, wait_s or 0) <= decision.after_s <= max(LONGEST_S, wait_s or 0)
    else:
        assert decision.why and "\n" not in decision.why
