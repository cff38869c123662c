import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import (
    AudioFileError,
    CallErasedError,
    CarrierError,
    EngineError,
    LanguageModelError,
    StoreError,
    StoreUnavailableError,
    UnusableAnswerError,
)
from callreel.runtime.retry import (
    CUT_ATTEMPTS,
    FIRST_PARKED_S,
    LAST_ATTEMPT,
    LOCAL_ATTEMPTS,
    LONGEST_S,
    LONGEST_UNPARKED_S,
    Backoff,
    Retry,
    decide,
    requested_wait_s,
)

CREDENTIALS = "check TWILIO_API_KEY_SID and its secret"
PASSING = (404, 408, 429, 500, 502, 503)


def answered(status: int, retry_after_s: float | None = None) -> CarrierError:
    """As a download raises it: 404 means "not ready" there."""
    retryable = status in PASSING
    return CarrierError(
        f"the carrier answered {status}", retryable=retryable, status=status, retry_after_s=retry_after_s
    )


def refused_model(status: int, retry_after_s: float | None = None) -> LanguageModelError:
    retryable = status in PASSING
    return LanguageModelError(
        f"the model answered {status}", retryable=retryable, status=status, retry_after_s=retry_after_s
    )


def broken(what: str = "the file broke off") -> CarrierError:
    return CarrierError(what, retryable=True)


@pytest.mark.parametrize(
    ("error", "failure", "decision"),
    [
        (answered(404), 1, Retry("the carrier answered 404", 1.0)),
        (answered(404), 2, Retry("the carrier answered 404", 2.0)),
        (answered(404), 5, Retry("the carrier answered 404", 16.0)),
        (answered(404), 11, Retry("the carrier answered 404", 1024.0)),
        (answered(404), 12, Retry("the carrier answered 404, 12 times", 2048.0, True)),
        (answered(408), 1, Retry("the carrier answered 408", 1.0)),
        (answered(429), 1, Retry("the carrier answered 429", 1.0)),
        (answered(429, 7.0), 1, Retry("the carrier answered 429", 7.0)),
        (answered(429, 7.0), 5, Retry("the carrier answered 429", 16.0)),
        (answered(429, 3600.0), 1, Retry("the carrier answered 429 and requests a wait of 3600 s", 3600.0, True)),
        (answered(500), 3, Retry("the carrier answered 500", 4.0)),
        (answered(503, 30.0), 12, Retry("the carrier answered 503, 12 times", 2048.0, True)),
        (answered(401), 1, Retry(f"the carrier refused our credentials (401): {CREDENTIALS}", 60.0, True)),
        (answered(403), 1, Retry(f"the carrier refused our credentials (403): {CREDENTIALS}", 60.0, True)),
        (answered(400), 1, Retry("the carrier refused the request (400)", 60.0, True)),
        (answered(410), 1, Retry("the carrier refused the request (410)", 60.0, True)),
        (refused_model(429, 9.0), 1, Retry("the model answered 429", 9.0)),
        (refused_model(500), 12, Retry("the model answered 500, 12 times", 2048.0, True)),
        (refused_model(401), 1, Retry("the model answered 401", 60.0, True)),
        (UnusableAnswerError("no JSON", retryable=True), 2, Retry("no JSON", 2.0)),
        (UnusableAnswerError("no JSON", retryable=True), 3, Retry("no JSON", None, True)),
        (broken(), 5, Retry("the file broke off", 16.0)),
        (broken(), CUT_ATTEMPTS, Retry("the file broke off, 6 times", 60.0, True)),
        (StoreUnavailableError("no answer"), 11, Retry("no answer", 1024.0)),
    ],
)  # fmt: skip
def test_error_and_attempt_decide_the_retry(error: CarrierError, failure: int, decision: Retry) -> None:
    assert decide(error, failure, park_after=12, jitter=1.0) == decision


def test_jitter_shortens_the_wait_by_up_to_half() -> None:
    assert decide(answered(500), 4, park_after=12, jitter=0.0).after_s == 4.0
    assert decide(answered(500), 4, park_after=12, jitter=0.5).after_s == 6.0


def test_broken_downloads_park_after_the_allowed_attempts() -> None:
    assert decide(broken("it broke"), 2, park_after=2, jitter=0.0) == Retry("it broke, 2 times", 60.0, True)


@given(
    status=st.one_of(st.none(), st.integers(100, 599)),
    failure=st.integers(1, 100),
    most=st.integers(1, 50),
    jitter=st.floats(0, 1),
    wait_s=st.one_of(st.none(), st.floats(0, 86_400)),
)
def test_every_error_ends_in_bounded_retries(
    status: int | None, failure: int, most: int, jitter: float, wait_s: float | None
) -> None:
    error = CarrierError(
        "it failed", retryable=status is None or status in PASSING, status=status, retry_after_s=wait_s
    )
    decision = decide(error, failure, park_after=most, jitter=jitter)
    assert decision.reason and "\n" not in decision.reason
    if decision.after_s is not None:
        assert max(0.5, wait_s or 0) <= decision.after_s <= max(LONGEST_S, wait_s or 0)
    if not decision.parked:
        assert failure < most and (wait_s or 0) <= LONGEST_UNPARKED_S
    if failure > LAST_ATTEMPT:
        assert decision.after_s is None, "then a person has to"


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
def test_transient_errors_are_retried_for_31_s_before_parking(error: Exception, passes: bool) -> None:
    decisions = [decide(error, failure, park_after=8, jitter=1.0) for failure in range(1, LOCAL_ATTEMPTS)]
    assert [decision.parked for decision in decisions] == [not passes] * len(decisions)
    if passes:
        assert sum(decision.after_s or 0 for decision in decisions) == 31
    else:
        assert [decision.after_s for decision in decisions] == [FIRST_PARKED_S] * len(decisions)


def test_parked_work_is_retried_ever_later_then_manually() -> None:
    waits = [decide(answered(401), n, park_after=8, jitter=1.0).after_s for n in (1, 6, 8, 12, 14, 16)]
    assert waits == [60, 60, 128, 2_048, 8_192, LONGEST_S]
    assert decide(answered(401), LAST_ATTEMPT + 1, park_after=8, jitter=1.0).after_s is None
    three_days_s = sum(decide(answered(503), n, park_after=8, jitter=1.0).after_s or 0 for n in range(1, 33))
    assert 2.5 * 86_400 < three_days_s < 3.5 * 86_400


def test_erasure_is_retried_without_a_limit() -> None:
    assert decide(answered(503), 1_000, park_after=8, jitter=1.0, last=None).after_s == LONGEST_S


def test_work_on_an_erased_call_is_not_retried() -> None:
    assert decide(CallErasedError("erased"), 1, park_after=8, jitter=1.0) == Retry("erased", None)


def test_backoff_doubles_up_to_its_bound() -> None:
    backoff = Backoff(5.0, 300.0)
    assert [backoff.after_s(n, 1.0) for n in (1, 2, 3, 7, 2_000)] == [5, 10, 20, 300, 300]
    assert 2.5 <= backoff.after_s(1) <= 5.0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "soon"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_requested_wait_is_read_from_the_headers(headers: dict[str, str], wait_s: float | None) -> None:
    assert requested_wait_s(headers) == wait_s
