import base64
import json
from pathlib import Path
from typing import NamedTuple

import httpx2
import numpy as np
import pytest

from callreel.audio import wav
from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.errors import CarrierError
from callreel.domain.ids import RecordingSid
from callreel.simulator.rest.resources import page_json, recording_json
from callreel.store.files.part_file import PartFile
from callreel.twilio.rest_resources import RecordingResource
from tests.support.installation import ACCOUNT, NOON, leg, speech
from tests.support.program import free_port
from tests.support.rest_server import Answer, RestServer, rest_server


class Problem(NamedTuple):
    """The fields of a CarrierError."""

    what: str
    status: int | None = None
    retry_after_s: float | None = None


SID = RecordingSid("RE" + "1" * 32)
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"
MEDIA = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}.wav"
BASIC = "Basic " + base64.b64encode(b"SK1:secret").decode()


def recording_wav(duration_ms: int = 500) -> bytes:
    both = np.stack([speech(duration_ms), speech(duration_ms, seed=2)], axis=1)
    return wav.header(both.size * 2, 8_000, 2) + both.tobytes()


WAV = recording_wav()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "recording.wav.part"


def recordings(url: str) -> CarrierRecordings:
    return CarrierRecordings(CarrierAccess(url, ACCOUNT, "SK1", "secret", timeout_s=5))


def bring(url: str, part: Path) -> wav.WavInfo:
    carrier = recordings(url)
    try:
        return carrier.download(SID, PartFile(part))
    finally:
        carrier.close()


def problem(url: str, part: Path) -> Problem:
    with pytest.raises(CarrierError) as failed:
        bring(url, part)
    error = failed.value
    assert error.retryable is (error.status not in (400, 401, 403))
    return Problem(str(error), error.status, error.retry_after_s)


# One recording


def test_recording_is_downloaded_whole(server: RestServer, part: Path) -> None:
    server.put(MEDIA, Answer(body=WAV))
    info = bring(server.url, part)
    assert (info.rate_hz, info.channels, info.duration_ms) == (8_000, 2, 500)
    assert part.read_bytes() == WAV
    (request,) = server.seen
    assert request.headers["Authorization"] == BASIC and "Range" not in request.headers


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404), Problem("the carrier answered 404", 404)),
        (Answer(500, b"sorry"), Problem("the carrier answered 500", 500)),
        (Answer(401), Problem("the carrier answered 401", 401)),
        (Answer(429), Problem("the carrier answered 429", 429)),
        (Answer(429, headers={"Retry-After": "7"}), Problem("the carrier answered 429", 429, 7.0)),
        (Answer(429, headers={"Retry-After": "Sun, 06 Nov 1994"}), Problem("the carrier answered 429", 429)),
    ],
)
def test_refused_download_raises_status_and_retry_after(
    server: RestServer, part: Path, answer: Answer, expected: Problem
) -> None:
    server.put(MEDIA, answer)
    assert problem(server.url, part) == expected
    assert not part.exists()


def test_refused_download_keeps_the_earlier_part(server: RestServer, part: Path) -> None:
    server.put(MEDIA, Answer(body=WAV, cut_at=1_000), Answer(503), Answer(body=WAV, ranges=True))
    problem(server.url, part)
    assert problem(server.url, part).status == 503
    bring(server.url, part)
    assert part.read_bytes() == WAV
    assert [request.headers.get("Range") for request in server.seen] == [None, "bytes=1000-", "bytes=1000-"]


def test_cut_download_is_resumed(server: RestServer, part: Path) -> None:
    server.put(MEDIA, Answer(body=WAV, cut_at=1_000), Answer(body=WAV, ranges=True))
    found = problem(server.url, part)
    assert found.status is None and "broke" in found.what
    assert part.stat().st_size == 1_000
    assert bring(server.url, part).duration_ms == 500
    assert part.read_bytes() == WAV
    assert server.seen[1].headers["Range"] == "bytes=1000-"


def test_download_restarts_when_ranges_are_unsupported(server: RestServer, part: Path) -> None:
    server.put(MEDIA, Answer(body=WAV, cut_at=1_000), Answer(body=WAV))
    problem(server.url, part)
    bring(server.url, part)
    assert part.read_bytes() == WAV


def test_repeatedly_cut_download_completes(server: RestServer, part: Path) -> None:
    cuts = [Answer(body=WAV, cut_at=500, ranges=True)] * 3
    server.put(MEDIA, *cuts, Answer(body=WAV, ranges=True))
    for length in (500, 1_000, 1_500):
        problem(server.url, part)
        assert part.stat().st_size == length
    bring(server.url, part)
    assert part.read_bytes() == WAV


def test_complete_part_is_downloaded_again(server: RestServer, part: Path) -> None:
    """The process died between download and commit: the carrier has no bytes after the last one."""
    part.parent.mkdir()
    part.write_bytes(WAV)
    server.put(MEDIA, Answer(body=WAV, ranges=True))
    assert problem(server.url, part).what == "the part downloaded before does not match the file"
    bring(server.url, part)
    assert part.read_bytes() == WAV


def test_response_with_another_range_is_discarded(server: RestServer, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(WAV[:1_000])
    ranged = {"Content-Range": f"bytes 0-{len(WAV) - 1001}/{len(WAV)}"}
    server.put(MEDIA, Answer(206, WAV[:-1_000], ranged), Answer(body=WAV, ranges=True))
    assert problem(server.url, part).what == "the part downloaded before does not match the file"
    bring(server.url, part)
    assert part.read_bytes() == WAV


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", WAV[:30], b"RIFF" + b"\0" * 5_000])
def test_incomplete_or_invalid_wav_is_discarded(server: RestServer, part: Path, body: bytes) -> None:
    server.put(MEDIA, Answer(body=body))
    found = problem(server.url, part)
    assert found.status is None and "WAV" in found.what
    assert not part.exists()


def test_http_length_overrides_the_wav_header(server: RestServer, part: Path) -> None:
    server.put(MEDIA, Answer(body=WAV[:-100]))
    info = bring(server.url, part)
    assert (info.data_offset + info.data_bytes, part.stat().st_size) == (len(WAV) - 100, len(WAV) - 100)


def test_refused_connection_is_a_carrier_error(part: Path) -> None:
    assert problem(f"http://127.0.0.1:{free_port()}", part) == Problem("the connection broke (ConnectError)")


def test_redirect_to_another_host_carries_no_credentials(server: RestServer, part: Path) -> None:
    with rest_server() as elsewhere:
        elsewhere.put("/media", Answer(body=WAV))
        server.put(MEDIA, Answer(307, headers={"Location": f"{elsewhere.url}/media"}))
        bring(server.url, part)
        assert part.read_bytes() == WAV
        assert server.seen[0].headers["Authorization"] == BASIC
        assert [name for name in elsewhere.seen[0].headers if name.lower() == "authorization"] == []


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/x.wav",
        "https://169.254.169.254/latest",
        "https://[::1]/x.wav",
        "http://media.example/x.wav",
    ],
)
def test_redirect_into_a_private_network_is_not_followed(part: Path, location: str) -> None:
    seen: list[httpx2.Request] = []

    def redirect(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(302, headers={"Location": location})

    access = CarrierAccess("https://api.carrier.example", ACCOUNT, "SK1", "secret", 5)
    carrier = CarrierRecordings(access, httpx2.MockTransport(redirect))
    with pytest.raises(CarrierError, match="redirects the download") as refused:
        carrier.download(SID, PartFile(part))
    carrier.close()
    assert not refused.value.retryable and not part.exists()
    assert [request.url.host for request in seen] == ["api.carrier.example"]


def test_redirected_list_is_refused(server: RestServer) -> None:
    with rest_server() as elsewhere:
        server.put(LIST, Answer(307, headers={"Location": f"{elsewhere.url}/list"}))
        carrier = recordings(server.url)
        with pytest.raises(CarrierError, match="answered 307"):
            carrier.of_leg(leg(1))
        carrier.close()
        assert elsewhere.seen == []


# The list


def resources(count: int) -> list[dict[str, object]]:
    return [
        recording_json(
            RecordingResource(RecordingSid(f"RE{n:032x}"), leg(1), "completed", duration_s=n),
            ACCOUNT,
            created=NOON,
            updated=NOON,
        )
        for n in range(count)
    ]


def page(items: list[dict[str, object]], number: int, size: int) -> Answer:
    found = page_json("recordings", items, path=LIST, page=number, page_size=size, query=f"CallSid={leg(1)}")
    return Answer(body=json.dumps(found).encode())


def test_all_pages_of_the_list_are_read(server: RestServer) -> None:
    items = resources(5)
    server.put(f"{LIST}?CallSid={leg(1)}&PageSize=100", page(items, 0, 2))
    for number in (1, 2):
        server.put(f"{LIST}?CallSid={leg(1)}&PageSize=2&Page={number}", page(items, number, 2))
    carrier = recordings(server.url)
    found = carrier.of_leg(leg(1))
    carrier.close()
    assert [(recording.sid, recording.duration_s) for recording in found] == [
        (f"RE{n:032x}", n) for n in range(5)
    ]
    assert len(server.seen) == 3
    assert {request.headers["Authorization"] for request in server.seen} == {BASIC}


def test_encrypted_recording_is_recognized_in_the_list(server: RestServer) -> None:
    plain, encrypted = resources(2)
    encrypted["encryption_details"] = {"encryption_public_key_sid": "CR1", "encryption_iv": "aXY="}
    server.put(f"{LIST}?CallSid={leg(1)}&PageSize=100", page([plain, encrypted], 0, 100))
    carrier = recordings(server.url)
    assert [recording.encrypted for recording in carrier.of_leg(leg(1))] == [False, True]
    carrier.close()


def test_unusable_item_does_not_hide_the_others(server: RestServer, caplog: pytest.LogCaptureFixture) -> None:
    good = resources(1)[0]
    odd: list[object] = [
        {k: v for k, v in good.items() if k != "call_sid"},
        None,
        "RE1",
        {},
        {"sid": "RE/../x"},
    ]
    body = page_json("recordings", [good], path=LIST, page=0, page_size=100)
    body["recordings"] = [*odd[:2], good, *odd[2:]]
    server.put(LIST, Answer(body=json.dumps(body).encode()))
    carrier = recordings(server.url)
    assert [found.sid for found in carrier.of_leg(leg(1))] == [good["sid"]]
    assert [found.sid for found in carrier.since(NOON.date())] == [good["sid"]]
    carrier.close()
    assert len(caplog.records) == 2 * len(odd)


@pytest.mark.parametrize(
    ("answer", "retryable", "status"),
    [
        (Answer(500), True, 500),
        (Answer(429), True, 429),
        (Answer(401), False, 401),
        (Answer(404), False, 404),
        (Answer(200, b"<html>maintenance</html>"), True, None),
        (Answer(200, b"[]"), False, None),
        (Answer(200, b'{"recordings": 5}'), False, None),
        (Answer(200, b'{"recordings": [], "next_page_uri": "@elsewhere.example/"}'), False, 404),
    ],
)
def test_unusable_list_raises_a_carrier_error(
    server: RestServer, answer: Answer, retryable: bool, status: int | None
) -> None:
    server.put(LIST, answer)
    carrier = recordings(server.url)
    with pytest.raises(CarrierError) as refused:
        carrier.of_leg(leg(1))
    carrier.close()
    assert (refused.value.retryable, refused.value.status) == (retryable, status)
    assert "secret" not in str(refused.value)


def test_unreachable_carrier_is_a_retryable_list_error() -> None:
    carrier = recordings(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CarrierError, match="cannot be reached: ConnectError") as refused:
        carrier.of_leg(leg(1))
    carrier.close()
    assert refused.value.retryable


@pytest.mark.parametrize(
    ("account", "username", "password", "usable"),
    [("AC1", "SK1", "x", True), ("", "SK1", "x", False), ("AC1", "", "x", False), ("AC1", "SK1", "", False)],
)
def test_access_is_usable_only_with_all_credentials(
    account: str, username: str, password: str, usable: bool
) -> None:
    assert CarrierAccess("https://api.twilio.com", account, username, password).usable is usable
