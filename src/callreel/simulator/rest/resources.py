"""JSON of the REST API as the carrier writes it: recordings, calls, streams, pages and errors.

Keys and paging: reference/twilio.md, sections 6.1, 6.2, 6.5. `twilio/rest_resources` reads the same shapes.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from callreel.domain.ids import LegSid, RecordingSid
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.webhook_forms import API_VERSION
from callreel.simulator.state import Leg, StreamState
from callreel.twilio.rest_resources import RecordingResource
from callreel.twilio.timestamps import rfc2822
from callreel.twilio.webhooks import CLIENT, TERMINAL

RECORDING_PRICE_PER_MINUTE = 0.0025
CLIENT_LEG_PRICE_PER_MINUTE = 0.004
NUMBER_LEG_PRICE_PER_MINUTE = 0.014

_UNFINISHED = frozenset({"in-progress", "paused", "stopped", "processing"})


def recording_json_of(
    recording: CloudRecording, account_sid: str, api_url: str, *, exact_status: bool = False
) -> dict[str, Any]:
    """A recording of the account. Without `exact_status` every unfinished status reads `processing` (section 6.2).

    A deleted recording keeps its duration and price.
    """
    finished = recording.status not in _UNFINISHED
    rated = recording.status in ("completed", "deleted")
    resource = RecordingResource(
        sid=RecordingSid(recording.sid),
        leg_sid=LegSid(recording.call_sid),
        status=recording.status if finished or exact_status else "processing",
        duration_s=round(recording.duration_ms / 1000) if rated else None,
        channels=recording.channels,
        source=recording.source,
        error_code=None if recording.error_code is None else str(recording.error_code),
        price=-RECORDING_PRICE_PER_MINUTE * math.ceil(recording.duration_ms / 60000) if rated else None,
        price_unit="USD" if rated else None,
        start_time=recording.began_at,
        media_url=f"{api_url}/{API_VERSION}/Accounts/{account_sid}/Recordings/{recording.sid}",
    )
    updated = recording.updated_at or recording.began_at
    return recording_json(resource, account_sid, created=recording.began_at, updated=updated)


def call_level_json(
    recording: CloudRecording, account_sid: str, api_url: str, *, exact_status: bool = False
) -> dict[str, Any]:
    """The same recording as a subresource of its call."""
    body = recording_json_of(recording, account_sid, api_url, exact_status=exact_status)
    del body["subresource_uris"], body["media_url"]
    call = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{recording.call_sid}"
    return body | {"track": recording.track, "uri": f"{call}/Recordings/{recording.sid}.json"}


def foreign_rows(account_sid: str) -> list[dict[str, Any]]:
    """Rows of an account's list that belong to no call here: a conference recording, and one with unknown values."""
    created = datetime.now(UTC)
    conference, unknown = (
        recording_json(
            RecordingResource(
                RecordingSid(f"RE{number:032x}"), LegSid(f"CA{number:032x}"), "completed", 7, 1
            ),
            account_sid,
            created=created,
            updated=created,
        )
        for number in (1, 2)
    )
    conference |= {
        "call_sid": None,
        "conference_sid": "CF" + "0" * 32,
        "source": "StartConferenceRecordingAPI",
    }
    unknown |= {
        "status": "archived",
        "source": None,
        "channels": None,
        "duration": "-1",
        "start_time": "soon",
    }
    return [conference, unknown]


def recording_json(
    resource: RecordingResource, account_sid: str, *, created: datetime, updated: datetime
) -> dict[str, Any]:
    """The account-level resource."""
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Recordings/{resource.sid}"
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "call_sid": resource.leg_sid,
        "conference_sid": None,
        "channels": resource.channels,
        "date_created": rfc2822(created),
        "date_updated": rfc2822(updated),
        "start_time": None if resource.start_time is None else rfc2822(resource.start_time),
        "price": None if resource.price is None else str(resource.price),
        "price_unit": resource.price_unit,
        "duration": None if resource.duration_s is None else str(resource.duration_s),
        "sid": resource.sid,
        "source": resource.source,
        "status": resource.status,
        "error_code": _number_or_text(resource.error_code),
        "uri": f"{uri}.json",
        "encryption_details": None,
        "subresource_uris": {
            "add_on_results": f"{uri}/AddOnResults.json",
            "transcriptions": f"{uri}/Transcriptions.json",
        },
        "media_url": resource.media_url,
    }


def call_json(leg: Leg, account_sid: str) -> dict[str, Any]:
    """A leg. Its `duration`, in seconds, and its price are present once it has ended."""
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{leg.sid}"
    ended = leg.status in TERMINAL
    per_minute = (
        CLIENT_LEG_PRICE_PER_MINUTE
        if CLIENT in (leg.from_[: len(CLIENT)], leg.to[: len(CLIENT)])
        else NUMBER_LEG_PRICE_PER_MINUTE
    )
    return {
        "sid": leg.sid,
        "account_sid": account_sid,
        "parent_call_sid": leg.parent_sid,
        "api_version": API_VERSION,
        "date_created": rfc2822(leg.began_at),
        "date_updated": rfc2822(leg.ended_at or leg.answered_at or leg.began_at),
        "from": leg.from_,
        "from_formatted": leg.from_,
        "to": leg.to,
        "to_formatted": leg.to,
        "phone_number_sid": None,
        "status": leg.status,
        "start_time": None if leg.answered_at is None else rfc2822(leg.answered_at),
        "end_time": None if leg.ended_at is None else rfc2822(leg.ended_at),
        "duration": str(leg.duration_s) if ended else None,
        "price": str(-per_minute * math.ceil(leg.duration_s / 60)) if ended and leg.duration_s else None,
        "price_unit": "USD",
        "direction": leg.direction,
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


def stream_json(stream: StreamState, call_sid: str, account_sid: str) -> dict[str, Any]:
    """A media stream."""
    return {
        "account_sid": account_sid,
        "call_sid": call_sid,
        "sid": stream.sid,
        "name": stream.name,
        "status": stream.status,
        "date_updated": rfc2822(stream.updated_at),
        "uri": f"/{API_VERSION}/Accounts/{account_sid}/Calls/{call_sid}/Streams/{stream.sid}.json",
    }


def page_json(
    key: str,
    items: Sequence[Mapping[str, Any]],
    *,
    path: str,
    page: int,
    page_size: int,
    query: str = "",
    token: str | None = None,
) -> dict[str, Any]:
    """One page of a list. `items` is the whole list, `page` counts from 0, `query` holds the filters (`CallSid=CA..`).

    `path` is the path of the list (`/2010-04-01/Accounts/AC../Recordings.json`); links are relative to the API's host.
    A `token` is PA and the sid of the last item of the previous page: the page begins after that item. With a token, even
    an empty one, the links have tokens.
    """
    sids = [str(item.get("sid") or item.get("call_sid")) for item in items]  # a participant has no own sid
    start = page * page_size
    if token and token.removeprefix("PA") in sids:
        start = sids.index(token.removeprefix("PA")) + 1
    shown = list(items[start : start + page_size])
    prefix = f"{path}?{query}&" if query else f"{path}?"

    def uri(number: int, first: int) -> str:
        after = f"&PageToken=PA{sids[first - 1]}" if token is not None and 0 < first <= len(sids) else ""
        return f"{prefix}PageSize={page_size}&Page={number}{after}"

    return {
        key: shown,
        "page": page,
        "page_size": page_size,
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "uri": uri(page, start),
        "first_page_uri": uri(0, 0),
        "next_page_uri": uri(page + 1, start + page_size) if start + page_size < len(items) else None,
        "previous_page_uri": uri(page - 1, start - page_size) if page > 0 else None,
    }


def error_json(code: int, message: str, status: int) -> dict[str, Any]:
    """The body of an error response."""
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def _number_or_text(code: str | None) -> int | str | None:
    return int(code) if code is not None and code.isdecimal() else code
