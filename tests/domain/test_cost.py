"""What a call costs: started minutes, exact sums."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.cost import Charged, Prices, TranscribedAudio, call_cost, started_minutes


@pytest.mark.parametrize(
    ("duration_ms", "minutes"), [(0, 0), (1, 1), (60_000, 1), (60_001, 2), (3_600_000, 60)]
)
def test_started_minutes(duration_ms: int, minutes: int) -> None:
    assert started_minutes(duration_ms) == minutes


def test_negative_durations_are_refused() -> None:
    with pytest.raises(ValueError, match="0 ms or more"):
        started_minutes(-1)


def test_a_call_of_83_seconds() -> None:
    cost = call_cost(
        client_ms=83_250, number_ms=79_250, streams_ms=[83_250], recorded_ms=83_000, prices=Prices()
    )
    assert [(item.name, item.minutes, item.amount) for item in cost.items] == [
        ("browser leg", 2, Decimal("0.008")),
        ("telephone leg", 2, Decimal("0.028")),
        ("media stream", 2, Decimal("0.008")),
        ("recording", 2, Decimal("0.005")),
        ("storage a month", 2, Decimal("0.001")),
    ]
    assert cost.total == Decimal("0.049")


def test_each_stream_is_rounded_separately() -> None:
    cost = call_cost(client_ms=0, number_ms=0, streams_ms=[1, 1, 60_001], recorded_ms=0, prices=Prices("EUR"))
    assert [(item.name, item.minutes) for item in cost.items] == [("media stream", 4)]
    assert cost.currency == "EUR"


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_longer_never_costs_less(one_ms: int, more_ms: int) -> None:
    def total(duration_ms: int) -> Decimal:
        ms = duration_ms
        return call_cost(client_ms=ms, number_ms=ms, streams_ms=[ms], recorded_ms=ms, prices=Prices()).total

    assert total(one_ms) <= total(one_ms + more_ms)


def test_engines_that_charge_are_on_the_bill_and_others_are_not() -> None:
    price = Decimal("0.006")
    transcribed = [
        TranscribedAudio("openai", 50_000, price),
        TranscribedAudio("faster-whisper", 50_000, Decimal(0)),
        TranscribedAudio("openai", 20_000, price),
    ]
    cost = call_cost(
        client_ms=0, number_ms=0, streams_ms=[], recorded_ms=0, prices=Prices(), transcribed=transcribed
    )
    assert [(item.name, item.minutes) for item in cost.items] == [("transcription by openai", 2)]
    assert cost.total == Decimal("0.012")


def test_carriers_price_replaces_the_estimate() -> None:
    charged = Charged(number_leg=Decimal("0.03"), recording=Decimal(0))
    cost = call_cost(client_ms=1, number_ms=1, streams_ms=[], recorded_ms=1, prices=Prices(), charged=charged)
    assert [(item.name, item.amount, item.estimated) for item in cost.items] == [
        ("browser leg", Decimal("0.004"), True),
        ("telephone leg", Decimal("0.03"), False),
        ("recording", Decimal(0), False),
        ("storage a month", Decimal("0.0005"), True),
    ]
    assert cost.total == Decimal("0.034")
