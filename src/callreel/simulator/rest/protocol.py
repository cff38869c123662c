"""What all routes of the REST API share: its context, errors, form parameters, date filters and pages.

Paths, filters, paging and errors: reference/twilio.md, section 6.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData

from callreel.simulator.account import Account
from callreel.simulator.calls.twiml_script import Callback, StartRecording
from callreel.simulator.configuration import AccountConfiguration
from callreel.simulator.rest.resources import page_json
from callreel.simulator.state import CarrierState
from callreel.twilio.twiml import RECORDING_CHANNELS, RECORDING_EVENTS, RECORDING_TRACKS, RECORDING_TRIMS

NOT_AUTHENTICATED = 20003
NOT_FOUND = 20404
INVALID_PARAMETER = 20001
NOT_IN_PROGRESS = 21220
INVALID_CALLBACK_URL = 21609

_PAGE_SIZE = 50
_MAX_PAGE_SIZE = 1000
_METHODS = ("GET", "POST")

Route = TypeVar("Route", bound=Callable[..., Any])


class RestError(Exception):
    """An error response of the API."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class RestContext:
    """What the routes work on. `api_url` is the API's public address; `ranges` allows resumed downloads.

    `new_sid` generates ids: `SK` for a key, `AP` for an app.
    """

    account: Account
    state: CarrierState
    configuration: AccountConfiguration
    new_sid: Callable[[str], str]
    api_url: str
    ranges: bool


async def _context(request: Request) -> RestContext:  # a plain function would run in a thread
    context: RestContext = request.app.state.rest
    return context


async def _form(request: Request) -> FormData:
    return await request.form()


Context = Annotated[RestContext, Depends(_context)]
Form = Annotated[FormData, Depends(_form)]


def get(router: APIRouter, path: str) -> Callable[[Route], Route]:
    """Register a route for GET and HEAD."""
    return router.api_route(path, methods=["GET", "HEAD"])


def not_found(path: str) -> RestError:
    return RestError(404, NOT_FOUND, f"The requested resource {path} was not found")


def invalid(name: str, expected: str) -> RestError:
    return RestError(400, INVALID_PARAMETER, f"{name} must be {expected}")


def text(form: FormData, name: str, default: str = "") -> str:
    """The last value of a form parameter."""
    value = form.get(name, default)
    return value if isinstance(value, str) else default


def choice(form: FormData, name: str, allowed: Collection[str], default: str | None = None) -> str:
    """A form parameter with a closed set of values; without a `default` it is required. Raises RestError."""
    value = text(form, name) or default
    if value is None or value not in allowed:
        raise invalid(name, f"one of {', '.join(allowed)}")
    return value


def web_url(form: FormData, name: str) -> str | None:
    """An absolute http or https URL; None if the parameter is absent. Raises RestError."""
    url = text(form, name)
    if not url:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise RestError(400, INVALID_CALLBACK_URL, f"{name} must be an absolute http or https URL")
    return url


def callback(form: FormData, name: str, events: Collection[str] = (), default: str = "") -> Callback | None:
    """The callback that a form requests. Its events are one value separated by spaces, or repeated parameters."""
    url = web_url(form, name)
    method = choice(form, f"{name}Method", _METHODS, "POST")
    values = [value for value in form.getlist(f"{name}Event") if isinstance(value, str)] or [default]
    subscribed = tuple(event for value in values for event in value.split())
    if not set(subscribed) <= set(events):
        raise invalid(f"{name}Event", f"from {', '.join(events)}")
    return None if url is None else Callback(url, method, subscribed)


def recording_order(form: FormData, trim: str) -> StartRecording:
    """The recording that a form requests. `trim` is the default of its `Trim`. Raises RestError."""
    channels = choice(form, "RecordingChannels", RECORDING_CHANNELS, "mono")
    track = choice(form, "RecordingTrack", RECORDING_TRACKS, "both")
    if channels == "dual" and track != "both":
        raise invalid("RecordingChannels", "mono if RecordingTrack is inbound or outbound")
    return StartRecording(
        channels=channels,
        track=track,
        trim=choice(form, "Trim", RECORDING_TRIMS, trim),
        name=None,
        callback=callback(form, "RecordingStatusCallback", RECORDING_EVENTS, "completed"),
    )


def seconds(form: FormData, name: str, most: int) -> int | None:
    """A number of seconds from 1 to `most`; None if the parameter is absent. Raises RestError."""
    value = text(form, name)
    if value and not 1 <= _number(value, 0) <= most:
        raise invalid(name, f"1 to {most} seconds")
    return int(value) if value else None


def in_days(query: Mapping[str, str], name: str, moment: datetime | None) -> bool:
    """Whether `moment` passes the filters `name`, `name<` and `name>`, which are days in GMT, inclusive."""
    on, until, since = (_day(query.get(f"{name}{sign}")) for sign in ("", "<", ">"))
    if on is until is since is None:
        return True
    if moment is None:
        return False
    day = moment.date()
    return (on is None or day == on) and (until is None or day <= until) and (since is None or day >= since)


def page_of(request: Request, key: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The requested page of `items`.

    A page token names the last item of the previous page, so that new items at the top of a list shift no page.
    """
    query = request.query_params
    size = min(max(_number(query.get("PageSize"), _PAGE_SIZE), 1), _MAX_PAGE_SIZE)
    filters = "&".join(
        part
        for part in request.url.query.split("&")
        if part and part.split("=")[0] not in ("Page", "PageSize", "PageToken")
    )
    return page_json(
        key,
        items,
        path=request.url.path,
        page=_number(query.get("Page"), 0),
        page_size=size,
        query=filters,
        token=query.get("PageToken", ""),
    )


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if value else None
    except ValueError:
        return None


def _number(value: str | None, default: int) -> int:
    return (
        int(value)
        if value is not None and value.isascii() and value.isdecimal() and len(value) < 9
        else default
    )
