import json
from datetime import timedelta

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.postcall.carrier_inventory import NOT_THERE, CarrierList
from callreel.simulator.rest.resources import page_json, recording_json
from callreel.store.calls import calls, deletions, facts, outbox, recordings
from callreel.store.calls.calls import CallRow
from callreel.twilio.rest_resources import RecordingResource
from tests.support.installation import ACCOUNT, NOON, Installation, leg
from tests.support.rest_server import Answer, RestServer
from tests.support.rows import all_calls

LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"


def sid(number: int) -> RecordingSid:
    return RecordingSid(f"RE{number:032x}")


def pages(*found: tuple[int, int, str], size: int = 100) -> dict[str, Answer]:
    """(recording, call, status) on as many pages as it takes."""
    items = [
        recording_json(
            RecordingResource(sid(number), leg(call), status, duration_s=41, channels=2),
            ACCOUNT,
            created=NOON,
            updated=NOON,
        )
        for number, call, status in found
    ]
    answers: dict[str, Answer] = {}
    for page in range(max(1, -(-len(items) // size))):
        body = page_json("recordings", items, path=LIST, page=page, page_size=size)
        path = f"{LIST}?PageSize={size}&Page={page}" if page else LIST
        answers[path] = Answer(body=json.dumps(body).encode())
    return answers


def carrier_list(
    installation: Installation, server: RestServer, *found: tuple[int, int, str], size: int = 100
) -> CarrierList:
    for path, answer in pages(*found, size=size).items():
        server.put(path, answer)
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    return CarrierList(installation.database, installation.publisher, carrier, installation.clock)


def another_call(installation: Installation, number: int) -> CallRow:
    row = CallRow(
        CallId(f"{number:012x}"), Direction.OUTGOING, "ada", "+12125550123", leg(number), Role.AGENT,
        installation.clock.now(),
    )  # fmt: skip
    with installation.database.write() as conn:
        assert calls.insert(conn, row)
    return row


def closed_call(installation: Installation, number: int, state: CloudState | None = None) -> None:
    call = another_call(installation, number)
    with installation.database.write() as conn:
        calls.set_state(conn, call.id, CallState.CLOSED, NOON)
        if state is not None:
            recordings.upsert(conn, recordings.RecordingRow(sid(number), call.id, leg(number), state, NOON))


def test_a_day_without_callbacks_ends_with_nothing_missing(
    installation: Installation, server: RestServer
) -> None:
    call = another_call(installation, 1)
    service = carrier_list(
        installation, server, (1, 1, "completed"), (2, 1, "absent"), (3, 77, "completed"), size=2
    )
    found = service.review(2)
    assert (found.listed, found.taken_in, found.foreign) == (3, [sid(1), sid(2)], 1)
    assert "DateCreated%3E=2026-11-20" in server.seen[0].path
    with installation.database.read() as conn:
        assert {row.sid: row.state for row in recordings.of_call(conn, call.id)} == {
            sid(1): CloudState.COMPLETED, sid(2): CloudState.ABSENT,
        }  # fmt: skip
        assert outbox.due(conn, NOON) == [], "while the call lives; `stale_calls` ends it"
    with installation.database.write() as conn:
        calls.set_state(conn, call.id, CallState.ENDED, NOON)
        assert {order.subject for order in outbox.due(conn, NOON)} == {sid(1), sid(2)}
    assert service.review(2).taken_in == [], "again changes nothing"


def test_a_recording_given_up_too_early_is_taken_in_after_all(
    installation: Installation, server: RestServer
) -> None:
    closed_call(installation, 1, CloudState.MISSING)
    assert carrier_list(installation, server, (1, 1, "completed")).review(2).taken_in == [sid(1)]


def test_what_is_settled_or_not_ready_is_left_alone(installation: Installation, server: RestServer) -> None:
    closed_call(installation, 1, CloudState.STORED)
    another_call(installation, 2)
    assert (
        carrier_list(installation, server, (1, 1, "completed"), (2, 2, "processing")).review(2).taken_in == []
    )


def test_a_dry_run_takes_in_and_notes_nothing(installation: Installation, server: RestServer) -> None:
    call = another_call(installation, 1)
    found = carrier_list(installation, server, (1, 1, "completed")).review(2, dry_run=True)
    assert found.taken_in == [sid(1)]
    with installation.database.read() as conn:
        assert recordings.of_call(conn, call.id) == []


def test_ours_that_the_carrier_lost_is_noted_once(installation: Installation, server: RestServer) -> None:
    closed_call(installation, 1, CloudState.STORED)
    installation.clock.step(3_600)
    service = carrier_list(installation, server)
    assert service.review(2).not_there == [sid(1)]
    assert service.review(2).not_there == [sid(1)]
    with installation.database.read() as conn:
        (call,) = all_calls(conn)
        assert [fact.kind for fact in facts.of_call(conn, call.id)] == [NOT_THERE]


def test_what_we_deleted_or_what_is_older_than_the_list_is_not_missed(
    installation: Installation, server: RestServer
) -> None:
    closed_call(installation, 1, CloudState.STORED)
    with installation.database.write() as conn:
        (call,) = all_calls(conn)
        deletions.record(conn, sid(1), call.id, NOON, was_there=True)
    service = carrier_list(installation, server)
    assert service.review(2).not_there == []
    closed_call(installation, 2, CloudState.STORED)
    installation.clock.step(timedelta(days=1.5).total_seconds())
    assert service.review(2).not_there == [], "at the edge of the list nothing can be said"
