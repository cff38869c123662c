"""The carrier's REST API as the server uses it: list, download and delete recordings, query legs, start streams and recordings.

Requests use the carrier's own library, with our HTTP client; it lacks streaming downloads, which use that client directly.
URLs are built from our settings and the recording's SID: our credentials are never sent to a URL from a callback or a list.
An interrupted download is resumed if the carrier allows it, else restarted; a file gets its final name only when its length
and its header are correct.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, BinaryIO, TypeVar

import httpx2
from twilio.base.page import Page
from twilio.rest.api.v2010.account.call import CallInstance, CallPage
from twilio.rest.api.v2010.account.recording import RecordingInstance, RecordingPage

from callreel.audio import wav
from callreel.carrier_client.rest import (
    CarrierAccess,
    account_of,
    carrier_errors,
    deleted,
    http_client,
    refusal,
)
from callreel.domain.errors import CarrierError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.runtime.outgoing import AddressRefusedError
from callreel.store.files.part_file import PartFile
from callreel.twilio.rest_resources import CallResource, RecordingResource

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Erased:
    """What the carrier still had of a recording: the recording itself, and how many transcriptions of it."""

    recording: bool
    transcriptions: int


class CarrierRecordings:
    """Blocking; used from the threads of workflows and jobs. Every method raises CarrierError."""

    def __init__(self, access: CarrierAccess, transport: httpx2.BaseTransport | None = None) -> None:
        """`transport` leads to the API's host; by default the client's own."""
        self._access = access
        self._http = http_client(access, transport)
        # Here rather than at first use: the library imports the API now, and a stream restart must not wait for that.
        self._account = account_of(access, self._http)

    @property
    def usable(self) -> bool:
        """Whether credentials are set at all."""
        return self._access.usable

    def close(self) -> None:
        self._http.close()

    def of_leg(self, leg_sid: LegSid) -> list[RecordingResource]:
        """All recordings that the carrier lists for a call's parent leg."""
        with carrier_errors("a list of recordings"):
            return list(_listed(self._account.recordings.page(call_sid=leg_sid, page_size=100)))

    def since(self, day: date) -> Iterator[RecordingResource]:
        """All recordings of the account that began on `day` (UTC) or later, newest first."""
        with carrier_errors("a list of recordings"):
            # As text: the library would convert a date to a time, which the API's filter by day does not support.
            first = self._account.recordings.page(date_created_after=day.isoformat(), page_size=1000)
            yield from _listed(first)

    def of_day(self, day: date) -> list[RecordingResource]:
        """All recordings of the account that were created on `day` (UTC), newest first."""
        with carrier_errors("a list of recordings"):
            return list(_listed(self._account.recordings.page(date_created=day.isoformat(), page_size=1000)))

    def legs_of_day(self, day: date) -> list[CallResource]:
        """All legs of the account that started on `day` (UTC), newest first."""
        with carrier_errors("a list of calls"):
            return list(_listed_legs(self._account.calls.page(start_time=day.isoformat(), page_size=1000)))

    def leg(self, leg_sid: LegSid) -> CallResource | None:
        """One leg; None if the carrier does not know it any more."""
        with carrier_errors("a query for a call"):
            try:
                return _leg(self._account.calls(leg_sid).fetch())
            except CarrierError as error:
                if error.status == 404:
                    return None
                raise

    def children(self, leg_sid: LegSid) -> list[CallResource]:
        """The legs that a parent leg dialled, newest first."""
        with carrier_errors("a list of calls"):
            return list(_listed_legs(self._account.calls.page(parent_call_sid=leg_sid, page_size=100)))

    def delete(self, sid: RecordingSid) -> bool:
        """Delete the carrier's copy; False when it was deleted already."""
        return deleted(self._account.recordings(sid).delete)

    def erase(self, sid: RecordingSid) -> Erased:
        """Delete the carrier's copy, and before it the carrier's own transcriptions of it."""
        transcriptions = self._delete_transcriptions(sid)
        return Erased(self.delete(sid), transcriptions)

    def _delete_transcriptions(self, sid: RecordingSid) -> int:
        """They are separate resources (`Recordings/{RE…}/Transcriptions/{TR…}`), which remain when the recording is deleted."""
        with carrier_errors("a list of transcriptions"):
            try:
                found = [
                    text.sid for text in self._account.recordings(sid).transcriptions.list(page_size=1000)
                ]
            except CarrierError as error:
                if error.status == 404:
                    return 0
                raise
        return sum(deleted(self._account.transcriptions(text).delete) for text in found)

    def start_stream(self, leg_sid: LegSid, **options: str) -> None:
        """Start a media stream of a live leg; `options` as the carrier's library names them."""
        with carrier_errors("a request for a stream"):
            self._account.calls(leg_sid).streams.create(**options)

    def set_paused(self, leg_sid: LegSid, sid: str, *, paused: bool) -> None:
        """Pause a running recording, so that it records silence and keeps its length, or resume it."""
        status = {"status": "paused", "pause_behavior": "silence"} if paused else {"status": "in-progress"}
        with carrier_errors(
            "a request to pause a recording" if paused else "a request to resume a recording"
        ):
            self._account.calls(leg_sid).recordings(sid).update(**status)

    def stop_recording(self, leg_sid: LegSid, sid: str) -> None:
        """End a running recording for good."""
        with carrier_errors("a request to stop a recording"):
            self._account.calls(leg_sid).recordings(sid).update(status="stopped")

    def start_recording(self, leg_sid: LegSid, **options: str | list[str]) -> None:
        """Start a recording of a live leg, or keep the one that was started so; `options` as for `start_stream`."""
        with carrier_errors("a request for a recording"):
            self._account.calls(leg_sid).recordings.create(**options)

    def download(self, sid: RecordingSid, part: PartFile) -> wav.WavInfo:
        """Download the recording's WAV into `part`, continuing a partial file; returns the contents of its header.

        Raises CarrierError; `part` then has the bytes received so far, for the next attempt.
        """
        have = part.size_bytes
        headers = {"Range": f"bytes={have}-"} if have else {}
        url = f"{self._access.api_url}/2010-04-01/Accounts/{self._access.account_sid}/Recordings/{sid}.wav"
        try:
            with self._http.stream("GET", url, headers=headers) as answer:
                expected = self._accept(answer, part, have)
                # Written in the received pieces: with larger buffers, a broken connection would lose the last one.
                if answer.status_code != 206:
                    part.clear()
                part.append(answer.iter_bytes())
        except httpx2.HTTPError as error:
            raise _broken(f"the connection broke ({type(error).__name__})") from None
        except AddressRefusedError as error:
            raise CarrierError(f"the carrier redirects the download, but {error}", retryable=False) from None
        return self._check(part, expected)

    def _accept(self, answer: httpx2.Response, part: PartFile, have: int) -> int | None:
        """The length of the whole file, if the carrier states it. Raises CarrierError for an error response."""
        other_range = not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 416 or (answer.status_code == 206 and other_range):
            part.clear()
            raise _broken("the part downloaded before does not match the file")
        if answer.status_code not in (200, 206):
            # A recording may not be available yet right after its callback (reference/twilio.md, section 6.3).
            raise refusal(answer, passing=(404,))
        length = answer.headers.get("Content-Length")
        if length is None or answer.headers.get("Content-Encoding"):
            return None
        return int(length) + (have if answer.status_code == 206 else 0)

    def _check(self, part: PartFile, expected: int | None) -> wav.WavInfo:
        size = part.size_bytes
        if expected is not None and size < expected:
            raise _broken(f"the file broke off at {size} of {expected} bytes")
        try:
            with part.open() as file:
                info = wav.scan(lambda at, count: _read_at(file, at, count), size)
        except wav.WavError as error:
            part.clear()
            raise _broken(f"the download is not a WAV file: {error}") from None
        # With a length from HTTP, a header that states more is merely wrong; without one, the connection may have broken.
        if expected is None and info.missing_bytes:
            part.clear()
            raise _broken(f"the file broke off {info.missing_bytes} bytes before its end")
        return info


def _listed(page: RecordingPage | None) -> Iterator[RecordingResource]:
    """The recordings of this page and the next ones."""
    return _items(page, _resource, "recording")


def _listed_legs(page: CallPage | None) -> Iterator[CallResource]:
    return _items(page, _leg, "call")


def _items(page: Page | None, read: Callable[[Any], T], what: str) -> Iterator[T]:
    """The items of this page and the next ones. An unusable one is skipped, so that it does not hide the others."""
    while page is not None:
        while True:
            try:
                found = read(next(page))
            except StopIteration:
                break
            except (CarrierError, AttributeError, TypeError, ValueError) as error:
                log.warning("listed %s skipped: %s", what, error)
            else:
                yield found
        page = page.next_page()


def _leg(found: CallInstance) -> CallResource:
    """Converts the library's call as strictly as JSON from the carrier."""
    names = ("sid", "parent_call_sid", "status", "direction", "to", "duration", "price", "price_unit")
    # The library keeps `from`, a word of Python, as an attribute of its own.
    body = {name: getattr(found, name) for name in names} | {"from": found._from}
    leg = CallResource.from_json(body)
    return replace(leg, start_time=_moment(found.start_time), end_time=_moment(found.end_time))


def _moment(value: object) -> datetime | None:
    """The library leaves a time that it cannot read as text."""
    return value if isinstance(value, datetime) else None


def _resource(found: RecordingInstance) -> RecordingResource:
    """Converts the library's recording, as strictly as JSON from the carrier, since its SID becomes a file name."""
    names = (
        "sid",
        "call_sid",
        "status",
        "duration",
        "channels",
        "source",
        "error_code",
        "price",
        "price_unit",
        "encryption_details",
    )
    body = {name: getattr(found, name) for name in (*names, "media_url")}
    return replace(RecordingResource.from_json(body), start_time=_moment(found.start_time))


def _broken(what: str) -> CarrierError:
    """The error for an incomplete download, which the next attempt may complete."""
    return CarrierError(what, retryable=True)


def _read_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
