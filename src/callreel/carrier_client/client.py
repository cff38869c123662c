"""Fetching the carrier's recordings: listing them, and bringing one home whole.

The address is built from our own settings and the recording's id; an address that a callback carries is never
followed. A body that breaks off is resumed where the carrier allows it, else begun again; nothing is kept under its
name before its length and its header are right.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx2

from callreel.audio import wav
from callreel.domain.errors import CarrierError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.twilio.rest_resources import RecordingResource, recordings_of, transcriptions_of
from callreel.twilio.webhooks import TERMINAL

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CarrierAccess:
    """Where the carrier's REST API is and who we are there. `username` is an API key SID or the account SID."""

    api_url: str
    account_sid: str
    username: str
    password: str
    timeout_s: float = 30.0

    @property
    def usable(self) -> bool:
        return bool(self.account_sid and self.username and self.password)


class CarrierRecordings:
    """The carrier's REST API as far as recordings go. Blocking; used from the threads of the stages."""

    def __init__(self, access: CarrierAccess) -> None:
        self._access = access
        self._client = httpx2.Client(
            auth=(access.username, access.password),
            timeout=access.timeout_s,
            follow_redirects=True,  # the client drops our credentials when a redirect leaves the host
        )

    @property
    def usable(self) -> bool:
        """Whether credentials are set at all."""
        return self._access.usable

    def close(self) -> None:
        self._client.close()

    def _url(self, path: str) -> str:
        return f"{self._access.api_url}/2010-04-01/Accounts/{self._access.account_sid}/{path}"

    def of_leg(self, leg_sid: LegSid) -> list[RecordingResource]:
        """All recordings that the carrier lists for a call's parent leg. Raises CarrierError."""
        url: str | None = self._url("Recordings.json")
        params: dict[str, str] | None = {"CallSid": leg_sid, "PageSize": "100"}
        found: list[RecordingResource] = []
        while url:
            listed, following = recordings_of(self._page(url, params))
            found += listed
            url, params = (self._following(following) if following else None), None
        return found

    def is_over(self, leg_sid: LegSid) -> bool:
        """Whether a leg has come to its end, or is not known there. Raises CarrierError."""
        try:
            found = self._page(self._url(f"Calls/{leg_sid}.json"), None, "a question for a call")
        except CarrierError as error:
            if error.status == 404:
                return True
            raise
        return str(found.get("status")) in TERMINAL

    def since(self, day: date) -> Iterator[RecordingResource]:
        """All recordings of the account that began on `day` (UTC) or later, newest first. Raises CarrierError."""
        url: str | None = self._url("Recordings.json")
        params: dict[str, str] | None = {"DateCreated>": day.isoformat(), "PageSize": "1000"}
        while url:
            listed, following = recordings_of(self._page(url, params))
            yield from listed
            url, params = (self._following(following) if following else None), None

    def delete(self, sid: RecordingSid) -> bool:
        """Delete the carrier's copy; False when it was gone already. Raises CarrierError."""
        return self._delete(f"Recordings/{sid}.json", "a deletion")

    def delete_transcriptions(self, sid: RecordingSid) -> int:
        """Delete what the carrier wrote down of a recording; how many texts there were. Raises CarrierError.

        These are resources of their own, beside the recording (`Recordings/{RE…}/Transcriptions/{TR…}`).
        """
        url = self._url(f"Recordings/{sid}/Transcriptions.json")
        try:
            page = self._page(url, {"PageSize": "1000"}, "a list of transcriptions")
        except CarrierError as error:
            if error.status == 404:
                return 0
            raise
        return sum(
            self._delete(f"Transcriptions/{text}.json", "a deletion") for text in transcriptions_of(page)
        )

    def _delete(self, path: str, what: str) -> bool:
        try:
            answer = self._client.delete(self._url(path))
        except httpx2.HTTPError as error:
            raise CarrierError(
                f"the carrier cannot be reached: {type(error).__name__}", retryable=True
            ) from None
        if answer.status_code in (200, 204, 404):
            return answer.status_code != 404
        raise _refusal(answer, what)

    def _following(self, path: str) -> str:
        """The address of a list's next page, which must not lead our credentials to another host."""
        if not path.startswith("/"):
            raise CarrierError("the next page of the carrier's list is no path on its host", retryable=False)
        return f"{self._access.api_url}{path}"

    def _page(
        self, url: str, params: dict[str, str] | None, what: str = "a list of recordings"
    ) -> dict[str, list[dict[str, object]]]:
        try:
            answer = self._client.get(url, params=params)
        except httpx2.HTTPError as error:
            raise CarrierError(
                f"the carrier cannot be reached: {type(error).__name__}", retryable=True
            ) from None
        if answer.status_code != 200:
            raise _refusal(answer, what)
        try:
            page: dict[str, list[dict[str, object]]] = answer.json()
        except ValueError:
            raise CarrierError(f"the carrier answered {what} with no JSON", retryable=True) from None
        return page

    def download(self, sid: RecordingSid, part: Path) -> wav.WavInfo:
        """Download the recording's WAV into `part`, continuing what lies there; answers what its header says.

        Raises CarrierError; `part` then holds what came, for the next attempt.
        """
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with self._client.stream("GET", self._url(f"Recordings/{sid}.wav"), headers=headers) as answer:
                expected = self._accept(answer, part, have)
                # In the pieces that come: gathered into larger ones, the last would be lost with the connection.
                _write(part, answer.iter_bytes(), append=answer.status_code == 206)
        except httpx2.HTTPError as error:
            raise _broken(f"the connection broke ({type(error).__name__})") from None
        return self._check(part, expected)

    def _accept(self, answer: httpx2.Response, part: Path, have: int) -> int | None:
        """The length that the whole file should have, if the carrier says; raises CarrierError on a refusal."""
        other_range = not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 416 or (answer.status_code == 206 and other_range):
            part.unlink(missing_ok=True)
            raise _broken("the part fetched before does not fit the file")
        if answer.status_code not in (200, 206):
            # A recording that was just announced may not be there yet (reference/twilio.md, section 6.3).
            raise _refusal(answer, "", passing=(404,))
        length = answer.headers.get("Content-Length")
        if length is None or answer.headers.get("Content-Encoding"):
            return None
        return int(length) + (have if answer.status_code == 206 else 0)

    def _check(self, part: Path, expected: int | None) -> wav.WavInfo:
        size = part.stat().st_size
        if expected is not None and size < expected:
            raise _broken(f"the file broke off at {size} of {expected} bytes")
        try:
            with part.open("rb") as file:
                info = wav.scan(lambda at, count: os.pread(file.fileno(), count, at), size)
        except wav.WavError as error:
            part.unlink()
            raise _broken(f"what came is no WAV file: {error}") from None
        # With the length that HTTP gave, a head that promises more is only wrong; without, the connection may have broken.
        if expected is None and info.missing_bytes:
            part.unlink()
            raise _broken(f"the file broke off {info.missing_bytes} bytes before its end")
        return info


def _broken(what: str) -> CarrierError:
    """What came cannot be used, and the next attempt may bring it whole."""
    return CarrierError(what, retryable=True)


def _refusal(answer: httpx2.Response, to: str, passing: tuple[int, ...] = ()) -> CarrierError:
    """An answer that is no success. Statuses in `passing` may be another one later, besides the usual ones."""
    status = answer.status_code
    return CarrierError(
        f"the carrier answered {status}" + (f" to {to}" if to else ""),
        retryable=status in (408, 429, *passing) or status >= 500,
        status=status,
        retry_after_s=_retry_after_s(answer),
    )


def _retry_after_s(answer: httpx2.Response) -> float | None:
    """What the carrier asks to wait; it counts in seconds, never by a date."""
    wait = answer.headers.get("Retry-After", "")
    return float(wait) if wait.isdigit() else None


def _write(part: Path, chunks: Iterator[bytes], *, append: bool) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab" if append else "wb") as file:
        for chunk in chunks:
            file.write(chunk)
