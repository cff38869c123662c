"""The JSON of the carrier's REST API: recordings both ways, calls, lists and errors as the stand-in answers them.

Shapes only; who asks, retries and downloads is `services`. Reading is tolerant: what is missing or unknown becomes
None or is kept as text, since the carrier sends values that its own description lacks. Keys and paging:
reference/twilio.md, sections 6.1, 6.2, 6.5.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callreel.domain.errors import CarrierError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.domain.recording import CloudState
from callreel.twilio.timestamps import read_moment, rfc2822
from callreel.twilio.webhook_forms import API_VERSION
from callreel.twilio.webhooks import SID, cloud_state


@dataclass(frozen=True, slots=True)
class RecordingResource:
    """A cloud recording as REST shows it.

    `duration_s` and `price` are None while it is in flight. `price` is in the currency of `price_unit`, negative for
    what we pay. `media_url` has no ending; `.wav` or `.mp3` go after it.
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

    @property
    def cloud_state(self) -> CloudState | None:
        """What the status means to us; None for `deleted` and for what we do not know."""
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
        )

    def to_json(self, account_sid: str, *, created: datetime, updated: datetime) -> dict[str, Any]:
        """The account-level resource, as the carrier writes it."""
        uri = f"/{API_VERSION}/Accounts/{account_sid}/Recordings/{self.sid}"
        return {
            "account_sid": account_sid,
            "api_version": API_VERSION,
            "call_sid": self.leg_sid,
            "conference_sid": None,
            "channels": self.channels,
            "date_created": rfc2822(created),
            "date_updated": rfc2822(updated),
            "start_time": None if self.start_time is None else rfc2822(self.start_time),
            "price": None if self.price is None else str(self.price),
            "price_unit": self.price_unit,
            "duration": None if self.duration_s is None else str(self.duration_s),
            "sid": self.sid,
            "source": self.source,
            "status": self.status,
            "error_code": _number_or_text(self.error_code),
            "uri": f"{uri}.json",
            "encryption_details": None,
            "subresource_uris": {
                "add_on_results": f"{uri}/AddOnResults.json",
                "transcriptions": f"{uri}/Transcriptions.json",
            },
            "media_url": self.media_url,
        }


def recordings_of(body: object) -> tuple[tuple[RecordingResource, ...], str | None]:
    """The recordings of one page, and the path of the next page, None on the last. Raises CarrierError for no page."""
    items = body.get("recordings") if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(items, list):
        raise CarrierError("the carrier's list of recordings is not one", retryable=False)
    return tuple(RecordingResource.from_json(item) for item in items), _text(body.get("next_page_uri"))


def transcriptions_of(body: object) -> tuple[str, ...]:
    """The ids of the transcriptions of one page. Raises CarrierError for no page."""
    items = body.get("transcriptions") if isinstance(body, Mapping) else None
    if not isinstance(items, list):
        raise CarrierError("the carrier's list of transcriptions is not one", retryable=False)
    return tuple(_sid(item, "sid") for item in items)


def page_json(
    key: str, items: Sequence[Mapping[str, Any]], *, path: str, page: int, page_size: int, query: str = ""
) -> dict[str, Any]:
    """One page of a list. `items` is the whole list, `page` counts from 0, `query` holds the filters (`CallSid=CA..`).

    `path` is that of the list (`/2010-04-01/Accounts/AC../Recordings.json`); links are relative to the API's host.
    """
    start = page * page_size
    shown = list(items[start : start + page_size])
    prefix = f"{path}?{query}&" if query else f"{path}?"

    def uri(number: int) -> str:
        return f"{prefix}PageSize={page_size}&Page={number}"

    return {
        key: shown,
        "page": page,
        "page_size": page_size,
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "uri": uri(page),
        "first_page_uri": uri(0),
        "next_page_uri": uri(page + 1) if start + page_size < len(items) else None,
        "previous_page_uri": uri(page - 1) if page > 0 else None,
    }


def error_json(code: int, message: str, status: int) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def call_json(
    *,
    sid: LegSid,
    account_sid: str,
    from_: str,
    to: str,
    status: str,
    created: datetime,
    parent_sid: LegSid | None = None,
    started: datetime | None = None,
    ended: datetime | None = None,
) -> dict[str, Any]:
    """A leg as REST shows it. `duration` is in seconds and there once it has ended."""
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{sid}"
    duration_s = None if started is None or ended is None else math.ceil((ended - started).total_seconds())
    return {
        "sid": sid,
        "account_sid": account_sid,
        "parent_call_sid": parent_sid,
        "api_version": API_VERSION,
        "date_created": rfc2822(created),
        "date_updated": rfc2822(ended or started or created),
        "from": from_,
        "from_formatted": from_,
        "to": to,
        "to_formatted": to,
        "phone_number_sid": None,
        "status": status,
        "start_time": None if started is None else rfc2822(started),
        "end_time": None if ended is None else rfc2822(ended),
        "duration": None if duration_s is None else str(duration_s),
        "price": None,
        "price_unit": "USD",
        "direction": "inbound" if parent_sid is None else "outbound-dial",
        "answered_by": None,
        "annotation": None,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {
            "recordings": f"{uri}/Recordings.json",
            "streams": f"{uri}/Streams.json",
        },
    }


def _needed(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise CarrierError(f"the carrier's recording has no {key}", retryable=False)
    return value


def _sid(body: Mapping[str, Any], key: str) -> str:
    value = _needed(body, key)
    if not SID.fullmatch(value):
        raise CarrierError(f"the carrier's recording has a {key} that is none of its ids", retryable=False)
    return value


def _number_or_text(code: str | None) -> int | str | None:
    return int(code) if code is not None and code.isdecimal() else code


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
