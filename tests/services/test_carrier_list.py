import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from callreel.carrier.resources import RecordingResource, page_json
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.services.carrier_list import NOT_THERE, CarrierList
from callreel.services.cloud import CarrierAccess, CarrierRecordings
from callreel.store import calls, deletions, facts, recordings
from callreel.store.calls import CallRow
from callreel.store.deletions import DeletionRow
from tests.services.ground import ACCOUNT, NOON, Ground, leg
from tests.services.rest_server import Answer, RestServer, rest_server

LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"


def sid(number: int) -> RecordingSid:
    return RecordingSid(f"RE{number:032x}")


def pages(*found: tuple[int, int, str], size: int = 100) -> dict[str, Answer]:
    """(recording, call, status) on as many pages as it takes."""
    items = [
        RecordingResource(sid(number), leg(call), status, duration_s=41, channels=2).to_json(
            ACCOUNT, created=NOON, updated=NOON
        )
        for number, call, status in found
    ]
    answers: dict[str, Answer] = {}
    for page in range(max(1, -(-len(items) // size))):
        body = page_json("recordings", items, path=LIST, page=page, page_size=size)
        path = f"{LIST}?PageSize={size}&Page={page}" if page else LIST
        answers[path] = Answer(body=json.dumps(body).encode())
    return answers


@pytest.fixture
def server() -> Iterator[RestServer]:
    with rest_server() as running:
        yield running


def carrier_list(
    ground: Ground, server: RestServer, *found: tuple[int, int, str], size: int = 100
) -> CarrierList:
    for path, answer in pages(*found, size=size).items():
        server.put(path, answer)
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    return CarrierList(ground.database, ground.announcer, carrier, ground.clock)


def another_call(ground: Ground, number: int) -> CallRow:
    row = CallRow(
        CallId(f"{number:012x}"), Direction.OUTGOING, "ada", "+12125550123", leg(number), Role.AGENT,
        ground.clock.now(),
    )  # fmt: skip
    with ground.database.write() as conn:
        assert calls.insert(conn, row)
    return row


def closed_call(ground: Ground, number: int, state: CloudState | None = None) -> None:
    call = another_call(ground, number)
    with ground.database.write() as conn:
        calls.set_state(conn, call.id, CallState.CLOSED, NOON)
        if state is not None:
            recordings.hear(conn, sid(number), call.id, leg(number), state, NOON)


def test_a_day_without_callbacks_ends_with_nothing_missing(ground: Ground, server: RestServer) -> None:
    call = another_call(ground, 1)
    service = carrier_list(
        ground, server, (1, 1, "completed"), (2, 1, "absent"), (3, 77, "completed"), size=2
    )
    found = service.review(2)
    assert (found.listed, found.taken_in, found.foreign) == (3, [sid(1), sid(2)], 1)
    assert "DateCreated%3E=2026-11-20" in server.seen[0].path
    with ground.database.read() as conn:
        assert {row.sid: row.state for row in recordings.of_call(conn, call.id)} == {
            sid(1): CloudState.COMPLETED, sid(2): CloudState.ABSENT,
        }  # fmt: skip
        assert recordings.undispatched(conn) == [], "while the call lives; `silent_calls` ends it"
    with ground.database.write() as conn:
        calls.set_state(conn, call.id, CallState.ENDED, NOON)
        assert {row.sid for row in recordings.undispatched(conn)} == {sid(1), sid(2)}
    assert service.review(2).taken_in == [], "again changes nothing"


def test_a_recording_given_up_too_early_is_taken_in_after_all(ground: Ground, server: RestServer) -> None:
    closed_call(ground, 1, CloudState.MISSING)
    assert carrier_list(ground, server, (1, 1, "completed")).review(2).taken_in == [sid(1)]


def test_what_is_settled_or_not_ready_is_left_alone(ground: Ground, server: RestServer) -> None:
    closed_call(ground, 1, CloudState.STORED)
    another_call(ground, 2)
    assert carrier_list(ground, server, (1, 1, "completed"), (2, 2, "processing")).review(2).taken_in == []


def test_a_dry_run_takes_in_and_notes_nothing(ground: Ground, server: RestServer) -> None:
    call = another_call(ground, 1)
    found = carrier_list(ground, server, (1, 1, "completed")).review(2, dry_run=True)
    assert found.taken_in == [sid(1)]
    with ground.database.read() as conn:
        assert recordings.of_call(conn, call.id) == []


def test_ours_that_the_carrier_lost_is_noted_once(ground: Ground, server: RestServer) -> None:
    closed_call(ground, 1, CloudState.STORED)
    ground.clock.step(3_600)
    service = carrier_list(ground, server)
    assert service.review(2).not_there == [sid(1)]
    assert service.review(2).not_there == [sid(1)]
    with ground.database.read() as conn:
        (call,) = calls.latest(conn)
        assert [fact.kind for fact in facts.of_call(conn, call.id)] == [NOT_THERE]


def test_what_we_deleted_or_what_is_older_than_the_list_is_not_missed(
    ground: Ground, server: RestServer
) -> None:
    closed_call(ground, 1, CloudState.STORED)
    with ground.database.write() as conn:
        (call,) = calls.latest(conn)
        deletions.note(conn, DeletionRow(sid(1), call.id, "00", 41_000, False, NOON))
    service = carrier_list(ground, server)
    assert service.review(2).not_there == []
    closed_call(ground, 2, CloudState.STORED)
    ground.clock.step(timedelta(days=1.5).total_seconds())
    assert service.review(2).not_there == [], "at the edge of the list nothing can be said"
