"""Numbers and times as pages show them; every stored state has a text."""

from datetime import datetime

import pytest

from callreel.domain.recording import CloudState
from callreel.domain.verdict import Verdict
from callreel.web.pages import wording


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(None, "–"), (0, "0:00"), (999, "0:00"), (83_250, "1:23"), (3_723_000, "1:02:03")],
)
def test_durations_are_minutes_and_seconds(duration_ms: int | None, text: str) -> None:
    assert wording.duration_text(duration_ms) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1920, "1.9 kB"), (999_999, "1.0 MB"), (10**15, "1000.0 TB")],
)
def test_sizes_have_decimal_units(size: int, text: str) -> None:
    assert wording.size_text(size) == text


def test_numbers_times_and_amounts_are_formatted() -> None:
    assert wording.number_text("+12125550123") == "+1 212-555-0123"
    assert wording.number_text("client:<b>") == "client:<b>"
    assert wording.clock_text("2026-11-02T04:04:05+01:00") == "2 Nov 2026, 03:04 UTC"
    assert wording.clock_text(datetime.fromisoformat("2026-11-12T03:04:05+00:00")) == "12 Nov 2026, 03:04 UTC"
    assert wording.money_text(0.049, "USD") == "$0.0490"
    assert wording.money_text(0.049, "EUR") == "0.0490 EUR"
    assert wording.money_text(0.049, "USD", 2) == "$0.05"
    assert [wording.figure_text(n, 1) for n in (1234.56, 12.0, 0.04)] == ["1,234.6", "12", "0"]
    assert wording.figure_text(12_000) == "12,000"
    assert wording.month_text("2026-02") == "February 2026"
    assert wording.percent_text(0.876) == "88%"
    assert wording.position_fragment(12_345) == "t=12.3"


def test_live_score_is_described() -> None:
    score = {"live_words": 1212, "late": 3, "retracted": 41, "words": 219, "same": 180}
    assert wording.live_score_text(score) == (
        "The live transcript agrees with 180 of the 219 words of the final transcript (82%). Of 1,212 live words, 3 appeared"
        " more than 1.5 s after they were spoken, and 41 changed after they appeared."
    )
    assert wording.live_score_text({**score, "words": None, "same": None}).startswith("Of 1,212 live words")
    assert wording.live_score_text({**score, "live_words": None}).endswith("(82%).")
    assert wording.live_score_text(dict.fromkeys(score)) == ""


def test_messages_become_sentences() -> None:
    assert wording.sentence("the stream began late") == "The stream began late."
    assert wording.sentence("Is it?") == "Is it?"
    assert wording.sentence("") == "."


def test_every_state_has_a_text() -> None:
    assert set(wording.CLOUD_STATES) == set(CloudState)
    assert set(wording.VERDICTS) == set(wording.VERDICT_MEANINGS) == set(Verdict)
