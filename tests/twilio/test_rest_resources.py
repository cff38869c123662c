"""The carrier's REST JSON: recordings both ways, pages and errors."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import CarrierError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.domain.recording import CloudState
from callreel.simulator.rest.resources import call_json, error_json, page_json, recording_json
from callreel.simulator.state import Leg
from callreel.twilio.rest_resources import RecordingResource
from tests.support.rest_server import recordings_of

ACCOUNT = "AC" + "a" * 32
LEG = LegSid("CA" + "1" * 32)
CHILD = LegSid("CA" + "2" * 32)
SID = RecordingSid("RE" + "4" * 32)
AT = datetime(2026, 3, 24, 18, 15, 40, tzinfo=UTC)
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"
RECORDING = RecordingResource(
    sid=SID,
    leg_sid=LEG,
    status="completed",
    duration_s=47,
    channels=2,
    source="StartCallRecordingTwiML",
    price=-0.0025,
    price_unit="USD",
    start_time=AT,
    media_url=f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}",
)

RESOURCES = st.builds(
    RecordingResource,
    sid=st.just(SID),
    leg_sid=st.just(LEG),
    status=st.sampled_from(["processing", "completed", "absent", "deleted", "evaporated"]),
    duration_s=st.none() | st.integers(0, 100_000),
    channels=st.none() | st.integers(1, 2),
    source=st.none() | st.sampled_from(["DialVerb", "StartCallRecordingTwiML"]),
    error_code=st.none() | st.integers(1, 99999).map(str),
    price=st.none() | st.floats(-10, 0),
    price_unit=st.none() | st.just("USD"),
    start_time=st.none() | st.just(AT),
    media_url=st.none() | st.just("https://api.twilio.com/x"),
)


def written(recording: RecordingResource) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(recording_json(recording, ACCOUNT, created=AT, updated=AT)))
    return body


def test_a_recording_as_the_carrier_writes_it() -> None:
    body = written(RECORDING)
    assert (body["duration"], body["channels"], body["price"]) == ("47", 2, "-0.0025")
    assert (body["error_code"], body["encryption_details"]) == (None, None)
    assert body["start_time"] == "Tue, 24 Mar 2026 18:15:40 +0000"
    assert body["uri"] == f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}.json"
    assert set(body["subresource_uris"]) == {"add_on_results", "transcriptions"}


@given(RESOURCES)
def test_round_trip(recording: RecordingResource) -> None:
    assert RecordingResource.from_json(written(recording)) == recording


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("processing", CloudState.IN_PROGRESS),
        ("in-progress", CloudState.IN_PROGRESS),
        ("completed", CloudState.COMPLETED),
        ("absent", CloudState.ABSENT),
        ("failed", CloudState.FAILED),
        ("deleted", None),
        ("evaporated", None),
    ],
)
def test_status_maps_to_a_cloud_state(status: str, state: CloudState | None) -> None:
    assert RecordingResource(SID, LEG, status).cloud_state is state


def test_missing_or_odd_values_become_none() -> None:
    body = {
        "sid": SID,
        "call_sid": LEG,
        "status": "processing",
        "duration": "soon",
        "price": "free",
        "channels": [],
    }
    assert RecordingResource.from_json(body | {"error_code": 0}) == RecordingResource(SID, LEG, "processing")


@pytest.mark.parametrize("key", ["sid", "call_sid", "status"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_recording_without_a_required_key_is_refused(key: str, value: object) -> None:
    with pytest.raises(CarrierError, match=f"has no {key}$"):
        RecordingResource.from_json(written(RECORDING) | {key: value})


def test_an_id_that_could_leave_a_folder_is_refused() -> None:
    with pytest.raises(CarrierError, match="invalid sid"):
        RecordingResource.from_json(written(RECORDING) | {"sid": "RE/../../x"})


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_any_json_is_read_or_refused(value: object) -> None:
    assert (
        RecordingResource.from_json(dict.fromkeys(written(RECORDING), value) | written(RECORDING))
        == RECORDING
    )
    odd = dict.fromkeys(written(RECORDING), value) | {"sid": SID, "call_sid": LEG, "status": "completed"}
    assert RecordingResource.from_json(odd).status == "completed"
    with pytest.raises(CarrierError):
        RecordingResource.from_json(value)
    with pytest.raises(CarrierError):
        recordings_of({"recordings": value} if not isinstance(value, list) else value)


@given(st.integers(0, 23), st.integers(1, 10))
def test_following_the_pages_finds_each_recording_once(count: int, page_size: int) -> None:
    recordings = [
        RecordingResource(RecordingSid(f"RE{number:032x}"), LEG, "completed") for number in range(count)
    ]
    items = [written(recording) for recording in recordings]
    found: list[RecordingResource] = []
    page, uri = 0, f"{PATH}?PageSize={page_size}&Page=0"
    while True:
        body = page_json("recordings", items, path=PATH, page=page, page_size=page_size)
        assert body["uri"] == uri
        read, following = recordings_of(body)
        found.extend(read)
        if following is None:
            break
        page, uri = page + 1, following
    assert found == recordings


def test_paging_keys() -> None:
    items = [{"sid": str(number)} for number in range(5)]
    assert page_json("recordings", items, path=PATH, page=1, page_size=2, query=f"CallSid={LEG}") == {
        "recordings": items[2:4],
        "page": 1,
        "page_size": 2,
        "start": 2,
        "end": 3,
        "uri": f"{PATH}?CallSid={LEG}&PageSize=2&Page=1",
        "first_page_uri": f"{PATH}?CallSid={LEG}&PageSize=2&Page=0",
        "next_page_uri": f"{PATH}?CallSid={LEG}&PageSize=2&Page=2",
        "previous_page_uri": f"{PATH}?CallSid={LEG}&PageSize=2&Page=0",
    }


def test_error_body() -> None:
    assert error_json(20404, "not found", 404) == {
        "code": 20404,
        "message": "not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


def leg_json(status: str, ended: datetime | None) -> dict[str, Any]:
    leg = Leg(CHILD, "+15550000000", "+15551234567", "outbound-dial", AT, status, LEG, AT, ended)
    return call_json(leg, ACCOUNT)


def test_a_leg_has_its_duration_once_it_ended() -> None:
    live, over = leg_json("in-progress", None), leg_json("completed", AT.replace(second=59))
    assert (live["duration"], live["end_time"], live["direction"]) == (None, None, "outbound-dial")
    assert (over["duration"], over["parent_call_sid"]) == ("19", LEG)
