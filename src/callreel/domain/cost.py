"""What a call costs at the carrier: as it charged, and until that is known an estimate from prices that are settings.

Every started minute of a leg, a stream or a recording counts whole (reference/twilio.md, section 8). Storage recurs
every month and falls only on accounts above the carrier's free amount, so it is reported beside the total, not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per minute, in `currency`. `storage_per_minute_month` is the price of storing one minute for a month."""

    currency: str = "USD"
    client_leg_per_minute: Decimal = Decimal("0.004")
    number_leg_per_minute: Decimal = Decimal("0.014")
    stream_per_minute: Decimal = Decimal("0.004")
    recording_per_minute: Decimal = Decimal("0.0025")
    storage_per_minute_month: Decimal = Decimal("0.0005")
    free_stored_minutes: int = 10_000

    def storage_of_month(self, stored_minutes: int) -> Decimal:
        """What an account pays for a month in which it stores so many minutes: those beyond the free ones."""
        return max(0, stored_minutes - self.free_stored_minutes) * self.storage_per_minute_month


class BudgetAlert(StrEnum):
    """What is wrong with the month's cost. The values are the `alert` of the webhook."""

    FORECAST = "budget_forecast"
    """The month's end is expected to exceed the budget."""
    EXCEEDED = "budget_exceeded"


def budget_alert(cost: float, forecast: float, budget: Decimal | None) -> BudgetAlert | None:
    """The alert for a month's cost so far with its storage, and its forecast; None within the budget, and without one."""
    if budget is None:
        return None
    if cost > budget:
        return BudgetAlert.EXCEEDED
    return BudgetAlert.FORECAST if forecast > budget else None


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of the bill: `minutes` started minutes at `per_minute`. `monthly` items recur and are not in the total.

    `charged` is the carrier's own price; None until it is known.
    """

    name: str
    minutes: int
    per_minute: Decimal
    monthly: bool = False
    charged: Decimal | None = None

    @property
    def amount(self) -> Decimal:
        """As charged, else estimated."""
        return self.minutes * self.per_minute if self.charged is None else self.charged

    @property
    def estimated(self) -> bool:
        return self.charged is None


@dataclass(frozen=True, slots=True)
class Charged:
    """The carrier's own prices of a call's parts, in the currency of the prices; None until it has rated them."""

    client_leg: Decimal | None = None
    number_leg: Decimal | None = None
    recording: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TranscribedAudio:
    """Audio that an engine transcribed, and its price per minute."""

    engine: str
    duration_ms: int
    per_minute: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """The bill of one call, without items of zero minutes."""

    currency: str
    items: tuple[CostItem, ...]

    @property
    def total(self) -> Decimal:
        """The cost of the call without the items that recur monthly."""
        return sum((item.amount for item in self.items if not item.monthly), Decimal(0))


_ESTIMATED: Final = Charged()


def started_minutes(duration_ms: int) -> int:
    """Whole minutes charged for `duration_ms` (>= 0): each started minute counts."""
    if duration_ms < 0:
        raise ValueError(f"expected a duration of 0 ms or more, got {duration_ms}")
    return -(-duration_ms // 60_000)


def call_cost(
    *,
    client_ms: int,
    number_ms: int,
    streams_ms: Sequence[int],
    recorded_ms: int,
    prices: Prices,
    transcribed: Sequence[TranscribedAudio] = (),
    charged: Charged = _ESTIMATED,
) -> Cost:
    """The bill of a call, from the durations of its legs, its media streams and the carrier's recording.

    `client_ms` is the browser leg, `number_ms` the telephone leg, `streams_ms` one duration per media stream (both
    tracks of a stream are one charge), `recorded_ms` the recording (dual channel costs as much as mono); 0 means none.
    `charged` replaces the estimates as the carrier rates the parts; it rates streams only on its bill.
    """
    recorded = started_minutes(recorded_ms)
    items = (
        CostItem(
            "browser leg",
            started_minutes(client_ms),
            prices.client_leg_per_minute,
            charged=charged.client_leg,
        ),
        CostItem(
            "telephone leg",
            started_minutes(number_ms),
            prices.number_leg_per_minute,
            charged=charged.number_leg,
        ),
        CostItem("media stream", sum(map(started_minutes, streams_ms)), prices.stream_per_minute),
        CostItem("recording", recorded, prices.recording_per_minute, charged=charged.recording),
        CostItem("storage a month", recorded, prices.storage_per_minute_month, monthly=True),
        *_transcription(transcribed),
    )
    return Cost(prices.currency, tuple(item for item in items if item.minutes or item.charged))


def _transcription(transcribed: Sequence[TranscribedAudio]) -> list[CostItem]:
    """One line for each engine and price, without free ones."""
    lengths: dict[tuple[str, Decimal], int] = {}
    for one in transcribed:
        key = (one.engine, one.per_minute)
        lengths[key] = lengths.get(key, 0) + one.duration_ms
    return [
        CostItem(f"transcription by {engine}", started_minutes(duration_ms), price)
        for (engine, price), duration_ms in lengths.items()
        if price
    ]
