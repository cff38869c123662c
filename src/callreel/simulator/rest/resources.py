"""JSON of the stand-in's REST API as the carrier writes it: recordings, calls, pages and errors.

Keys and paging: reference/twilio.md, sections 6.1, 6.2, 6.5. `twilio/rest_resources` reads the same shapes.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from callreel.domain.ids import LegSid
from callreel.simulator.calls.webhook_forms import API_VERSION
from callreel.twilio.rest_resources import RecordingResource
from callreel.twilio.timestamps import rfc2822


def recording_json(
    resource: RecordingResource, account_sid: str, *, created: datetime, updated: datetime
) -> dict[str, Any]:
    """The account-level resource, as the carrier writes it."""
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


def _number_or_text(code: str | None) -> int | str | None:
    return int(code) if code is not None and code.isdecimal() else code
