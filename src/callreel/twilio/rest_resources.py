"""Recordings and calls read from the JSON of the carrier's REST API.

Shapes only: `carrier_client` sends the requests, retries and downloads. Missing or unknown values become None or stay
text, since the carrier sends values that its own description lacks (reference/twilio.md, sections 6.1, 6.2, 6.5).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from callreel.domain.errors import CarrierError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.domain.recording import CloudState
from callreel.twilio.timestamps import read_moment
from callreel.twilio.webhooks import SID, cloud_state


@dataclass(frozen=True, slots=True)
class RecordingResource:
    """A cloud recording as REST shows it.

    `duration_s` and `price` are None until it is completed. `price` is in the currency of `price_unit`, negative for a
    charge. `media_url` has no extension; append `.wav` or `.mp3`.
    """

    sid: RecordingSid
    leg_sid: LegSid
    status: str
    duration_s: int | None = None
    channels: int | None = None
    source: str | None = None
    error_code: str | None = None
    price: float | None = None
    price_unit: str | None = None
    start_time: datetime | None = None
    media_url: str | None = None
    encrypted: bool = False

    @property
    def charged(self) -> float | None:
        """The price as an amount to be paid; None until it is known, with its currency."""
        return _charged(self.price, self.price_unit)

    @property
    def cloud_state(self) -> CloudState | None:
        """The state that the status means; None for `deleted` and unknown ones."""
        return cloud_state(self.status)

    @classmethod
    def from_json(cls, body: object) -> "RecordingResource":
        """Read one recording. Raises CarrierError without `sid`, `call_sid` or `status`."""
        if not isinstance(body, Mapping):
            raise CarrierError("the carrier's recording is not a JSON object", retryable=False)
        error_code = _text(body.get("error_code"))
        return cls(
            sid=RecordingSid(_sid(body, "sid")),
            leg_sid=LegSid(_sid(body, "call_sid")),
            status=_needed(body, "status"),
            duration_s=_count(body.get("duration")),
            channels=_count(body.get("channels")),
            source=_text(body.get("source")),
            error_code=None if error_code == "0" else error_code,
            price=_amount(body.get("price")),
            price_unit=_text(body.get("price_unit")),
            start_time=read_moment(_text(body.get("start_time"))),
            media_url=_text(body.get("media_url")),
            encrypted=bool(body.get("encryption_details")),
        )


@dataclass(frozen=True, slots=True)
class CallResource:
    """One leg as REST shows it. `from_` and `to` are numbers, `client:` identities or `sip:` addresses.

    `direction` is `inbound`, `outbound-api` or `outbound-dial`. Times are None before they happen.
    """

    sid: LegSid
    status: str
    direction: str
    from_: str = field(repr=False)
    to: str = field(repr=False)
    parent_sid: LegSid | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration_s: int | None = None
    price: float | None = None
    price_unit: str | None = None

    @property
    def charged(self) -> float | None:
        """The price as an amount to be paid; None until it is known, with its currency."""
        return _charged(self.price, self.price_unit)

    @classmethod
    def from_json(cls, body: object) -> "CallResource":
        """Read one call. Raises CarrierError without `sid` or `status`."""
        if not isinstance(body, Mapping):
            raise CarrierError("the carrier's call is not a JSON object", retryable=False)
        parent = _text(body.get("parent_call_sid"))
        return cls(
            sid=LegSid(_sid(body, "sid")),
            status=_needed(body, "status"),
            direction=_text(body.get("direction")) or "",
            from_=_text(body.get("from")) or "",
            to=_text(body.get("to")) or "",
            parent_sid=LegSid(parent) if parent and SID.fullmatch(parent) else None,
            start_time=read_moment(_text(body.get("start_time"))),
            end_time=read_moment(_text(body.get("end_time"))),
            duration_s=_count(body.get("duration")),
            price=_amount(body.get("price")),
            price_unit=_text(body.get("price_unit")),
        )


def _charged(price: float | None, unit: str | None) -> float | None:
    return None if price is None or unit is None else 0.0 - price  # never -0.0


def _needed(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise CarrierError(f"the carrier's resource has no {key}", retryable=False)
    return value


def _sid(body: Mapping[str, Any], key: str) -> str:
    value = _needed(body, key)
    if not SID.fullmatch(value):
        raise CarrierError(f"the carrier's resource has an invalid {key}", retryable=False)
    return value


def _text(value: object) -> str | None:
    """Text, or a number as text."""
    if isinstance(value, bool) or value in (None, ""):
        return None
    return str(value) if isinstance(value, str | int) else None


def _count(value: object) -> int | None:
    text = _text(value)
    return int(text) if text is not None and text.isdecimal() and len(text) <= 9 else None


def _amount(value: object) -> float | None:
    try:
        amount = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None
