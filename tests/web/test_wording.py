"""Numbers and times as people read them; every stored state has words."""

from datetime import datetime

import pytest

from callreel.domain.recording import CloudState
from callreel.domain.verdict import Verdict
from callreel.web import wording


@pytest.mark.parametrize(
    ("duration_ms", "said"),
    [(None, "–"), (0, "0:00"), (999, "0:00"), (83_250, "1:23"), (3_723_000, "1:02:03")],
)
def test_durations(duration_ms: int | None, said: str) -> None:
    assert wording.duration_text(duration_ms) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 B"), (999, "999 B"), (1920, "1.9 kB"), (999_999, "1.0 MB"), (10**15, "1000.0 TB")],
)
def test_sizes(size: int, said: str) -> None:
    assert wording.size_text(size) == said


def test_numbers_times_money() -> None:
    assert wording.number_text("+12125550123") == "+1 212-555-0123"
    assert wording.number_text("client:<b>") == "client:<b>"
    assert wording.clock_text("2026-11-02T04:04:05+01:00") == "2 Nov 2026, 03:04 UTC"
    assert wording.clock_text(datetime.fromisoformat("2026-11-12T03:04:05+00:00")) == "12 Nov 2026, 03:04 UTC"
    assert wording.money_text(0.049, "USD") == "$0.0490"
    assert wording.money_text(0.049, "EUR") == "0.0490 EUR"
    assert wording.percent_text(0.876) == "88 %"
    assert wording.position_fragment(12_345) == "t=12.3"


def test_facts_become_sentences() -> None:
    assert wording.sentence("the stream began late") == "The stream began late."
    assert wording.sentence("Is it?") == "Is it?"
    assert wording.sentence("") == "."


def test_every_state_has_words() -> None:
    assert set(wording.CLOUD_STATES) == set(CloudState)
    assert set(wording.VERDICTS) == set(wording.VERDICT_MEANINGS) == set(Verdict)
