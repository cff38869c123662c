"""The cost of a call at the carrier, from its rows: durations as the carrier reported them, or by our own times.

`store/calls/figures.py` sums the same costs over many calls; `tests/review/test_statistics.py` compares the two.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from callreel.domain.call import Role
from callreel.domain.cost import Charged, Cost, Prices, TranscribedAudio, call_cost
from callreel.domain.recording import from_file
from callreel.store.calls.calls import CallRow
from callreel.store.calls.figures import BEST_FIRST
from callreel.store.calls.legs import LegRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import StreamRow


def cost_of(
    row: CallRow,
    legs: Iterable[LegRow],
    streams: Iterable[StreamRow],
    recording: RecordingRow | None,
    prices: Prices,
    transcribed: Sequence[TranscribedAudio] = (),
) -> Cost | None:
    """The bill of an ended call; None for a live one."""
    if row.ended_at is None:
        return None
    if from_file(row.leg_sid):  # no carrier charged for it
        return call_cost(
            client_ms=0, number_ms=0, streams_ms=(), recorded_ms=0, prices=prices, transcribed=transcribed
        )
    of_role: Mapping[Role, LegRow] = {leg.role: leg for leg in legs}
    whole_ms = between_ms(row.created_at, row.ended_at)
    talk_ms = between_ms(row.answered_at, row.ended_at) if row.answered_at else 0
    return call_cost(
        client_ms=_leg_ms(of_role.get(Role.AGENT), whole_ms),
        number_ms=_leg_ms(of_role.get(Role.TECHNICIAN), talk_ms),
        streams_ms=[between_ms(stream.started_at, stream.stopped_at or row.ended_at) for stream in streams],
        recorded_ms=1000 * (recording.duration_s or 0) if recording else 0,
        prices=prices,
        transcribed=transcribed,
        charged=Charged(
            _price(of_role.get(Role.AGENT), prices), _price(of_role.get(Role.TECHNICIAN), prices),
            _price(recording, prices),
        ),
    )  # fmt: skip


def _price(row: LegRow | RecordingRow | None, prices: Prices) -> Decimal | None:
    """The carrier's price, if it is known and in the currency of the estimates."""
    if row is None or row.price is None or row.price_currency != prices.currency:
        return None
    return Decimal(str(row.price))


def main_recording(recorded: Iterable[RecordingRow]) -> RecordingRow | None:
    """The recording that represents the call in summaries: the one in the best state, then the longest."""
    order = {state: place for place, state in enumerate(BEST_FIRST)}
    return min(
        recorded,
        key=lambda row: (
            order.get(row.state, len(order)), -(row.duration_s or 0), -(row.channels or 0), row.sid,
        ),
        default=None,
    )  # fmt: skip


def between_ms(start: datetime, end: datetime) -> int:
    """Milliseconds from one time to another, never below 0."""
    return max(0, round((end - start).total_seconds() * 1000))


def call_duration_ms(row: CallRow) -> int | None:
    """The duration of a call from its answer, or from its start if it was not answered; None for a live one."""
    return between_ms(row.answered_at or row.created_at, row.ended_at) if row.ended_at else None


def _leg_ms(leg: LegRow | None, otherwise_ms: int) -> int:
    """A leg's duration as the carrier reported it, or by our own times until then."""
    return otherwise_ms if leg is None or leg.duration_s is None else 1000 * leg.duration_s
