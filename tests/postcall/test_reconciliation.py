import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.consent import Mode, Stamp
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.postcall.reconciliation import LookupSchedule, Reconciler, missing_sid
from callreel.runtime.periodic import PeriodicJob
from callreel.simulator.rest.resources import page_json, recording_json
from callreel.store.calls import calls, consents, outbox, recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.twilio.rest_resources import RecordingResource
from tests.support.installation import ACCOUNT, NOON, Installation, a_call, eventually, leg
from tests.support.rest_server import Answer, RestServer

CALL = CallId("000000000001")
SID = RecordingSid("RE" + "1" * 32)
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"
EMPTY = Answer(body=json.dumps(page_json("recordings", [], path=LIST, page=0, page_size=100)).encode())


def listed(*found: tuple[RecordingSid, str, int | None]) -> Answer:
    items = [
        recording_json(
            RecordingResource(
                sid, leg(1), status, duration_s=41, channels=2, error_code=None if code is None else str(code)
            ),
            ACCOUNT,
            created=NOON,
            updated=NOON,
        )
        for sid, status, code in found
    ]
    page = page_json("recordings", items, path=LIST, page=0, page_size=100)
    return Answer(body=json.dumps(page).encode())


@pytest.fixture
def server(server: RestServer) -> RestServer:
    server.put(LIST, EMPTY)
    return server


@pytest.fixture
def ended(installation: Installation) -> Installation:
    """A call that ended at noon, without any report about its recording."""
    a_call(installation)
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, NOON)
    return installation


def reconciler(
    installation: Installation, server: RestServer, *, record: bool = True, password: str = "secret"
) -> Reconciler:
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", password, timeout_s=5))
    return Reconciler(
        installation.database,
        installation.publisher,
        carrier,
        installation.clock,
        LookupSchedule(60, 3_600),
        record=record,
    )


def rows(installation: Installation) -> list[RecordingRow]:
    with installation.database.read() as conn:
        return recordings.of_call(conn, CALL)


def states(installation: Installation) -> list[tuple[str, CloudState]]:
    return [(row.sid, row.state) for row in rows(installation)]


@pytest.mark.parametrize(
    ("looked_s", "now_s", "due"),
    [
        (None, 0, False),
        (None, 59, False),
        (None, 60, True),
        (60, 61, False),
        (60, 119, False),
        (60, 120, True),
        (120, 239, False),
        (120, 240, True),
        (3_000, 3_599, False),
        (3_000, 3_600, True),
    ],
)
def test_when_to_look_again(looked_s: int | None, now_s: int, due: bool) -> None:
    looked = None if looked_s is None else NOON + timedelta(seconds=looked_s)
    assert LookupSchedule(60, 3_600).due(NOON, looked, NOON + timedelta(seconds=now_s)) is due


@pytest.mark.parametrize(("age_s", "over"), [(3_599, False), (3_600, True)])
def test_when_there_is_no_more_hope(age_s: int, over: bool) -> None:
    assert LookupSchedule(60, 3_600).over(NOON, NOON + timedelta(seconds=age_s)) is over


def test_recording_whose_callback_was_lost_is_found(ended: Installation, server: RestServer) -> None:
    server.put(LIST, listed((SID, "completed", None)))
    service = reconciler(ended, server)
    ended.clock.step(59)
    service.sweep()
    assert server.seen == []
    ended.clock.step(1)
    service.sweep()
    (row,) = rows(ended)
    assert (row.sid, row.state, row.duration_s, row.channels) == (SID, CloudState.COMPLETED, 41, 2)
    assert f"CallSid={leg(1)}" in server.seen[0].path
    with ended.database.read() as conn:
        assert [order.subject for order in outbox.all_orders(conn)] == [SID], "as after a callback"
    reported = [event for event in ended.stored_events() if event.kind is EventKind.RECORDING]
    assert [event.data["state"] for event in reported] == ["completed"]
    service.sweep()
    assert len(server.seen) == 1, "what is settled is not looked up again"


def test_a_look_at_many_ended_calls_is_two_queries(ended: Installation, server: RestServer) -> None:
    """A thousand calls that wait for their verdict, and one hundred without any report."""
    first = ended.call(CALL)
    with ended.database.write() as conn:
        for number in range(2, 1_101):
            call_id = CallId(f"{number:012x}")
            calls.insert(conn, replace(first, id=call_id, leg_sid=leg(number)))
            if number > 100:
                sid, state = RecordingSid(f"RE{number:032x}"), CloudState.COMPLETED
                recordings.upsert(conn, RecordingRow(sid, call_id, leg(number), state, NOON))
    asked: list[str] = []
    service = reconciler(ended, server)
    event.listen(ended.database._reader, "before_cursor_execute", lambda *reported: asked.append(reported[2]))
    ended.clock.step(59)
    service.sweep()
    assert len([query for query in asked if query.startswith("SELECT")]) == 2, asked
    assert server.seen == []
    ended.clock.step(1)
    service.sweep()
    assert len(server.seen) == 100, "those without a report, and no others"
    assert len([query for query in asked if query.startswith("SELECT")]) == 4, asked


def test_carriers_word_that_there_is_none_is_taken(ended: Installation, server: RestServer) -> None:
    server.put(LIST, listed((SID, "absent", 16101)))
    ended.clock.step(60)
    reconciler(ended, server).sweep()
    (row,) = rows(ended)
    assert (row.state, row.error_code) == (CloudState.ABSENT, 16101)


def test_recording_that_is_still_processed_is_looked_up_again(
    ended: Installation, server: RestServer
) -> None:
    server.put(LIST, listed((SID, "processing", None)), listed((SID, "completed", None)))
    service = reconciler(ended, server)
    ended.clock.step(60)
    service.sweep()
    assert states(ended) == [(SID, CloudState.IN_PROGRESS)]
    ended.clock.step(59)
    service.sweep()
    assert len(server.seen) == 1
    ended.clock.step(1)
    service.sweep()
    assert states(ended) == [(SID, CloudState.COMPLETED)]


def test_unknown_and_deleted_recordings_are_passed_over(ended: Installation, server: RestServer) -> None:
    server.put(LIST, listed((SID, "deleted", None)))
    ended.clock.step(60)
    reconciler(ended, server).sweep()
    assert rows(ended) == []


def test_looks_grow_rarer_and_end_with_a_note(ended: Installation, server: RestServer) -> None:
    service = reconciler(ended, server)
    looked_at: list[int] = []
    for second in range(0, 3_700, 5):
        seen = len(server.seen)
        service.sweep()
        if len(server.seen) > seen:
            looked_at.append(second)
        ended.clock.step(5)
    assert looked_at == [60, 120, 240, 480, 960, 1_920, 3_600]
    (row,) = rows(ended)
    assert (row.sid, row.state, row.carrier_status) == (
        missing_sid(CALL),
        CloudState.MISSING,
        "no callback came",
    )


def test_recording_that_never_got_ready_is_missing_in_the_end(
    ended: Installation, server: RestServer
) -> None:
    server.put(LIST, listed((SID, "processing", None)))
    service = reconciler(ended, server)
    for step_s in (60, 3_540):
        ended.clock.step(step_s)
        service.sweep()
    assert states(ended) == [(SID, CloudState.MISSING)]


def test_late_callback_after_giving_up_still_counts(ended: Installation, server: RestServer) -> None:
    ended.clock.step(3_600)
    reconciler(ended, server).sweep()
    with ended.database.write() as conn:
        recordings.upsert(
            conn, recordings.RecordingRow(SID, CALL, leg(1), CloudState.COMPLETED, ended.clock.now())
        )
        waiting = [order.subject for order in outbox.all_orders(conn)]
    assert SID in waiting


def test_call_with_recording_switched_off_is_not_looked_up(ended: Installation, server: RestServer) -> None:
    reconciler(ended, server, record=False).sweep()
    assert server.seen == []
    assert states(ended) == [(missing_sid(CALL), CloudState.MISSING)]
    assert rows(ended)[0].carrier_status == "recording is switched off by a setting"


@pytest.mark.parametrize("recorded", [False, True])
def test_call_without_consent_is_not_looked_up_unless_a_recording_is_known(
    ended: Installation, server: RestServer, recorded: bool
) -> None:
    with ended.database.write() as conn:
        consents.insert(conn, Stamp(call_id=CALL, mode=Mode.OFF, policy_version=1, rule="Berlin"))
        if recorded:
            recordings.upsert(conn, RecordingRow(SID, CALL, leg(1), CloudState.IN_PROGRESS, NOON))
    reconciler(ended, server).sweep()
    assert server.seen == []
    state = (SID, CloudState.IN_PROGRESS) if recorded else (missing_sid(CALL), CloudState.MISSING)
    assert states(ended) == [state]
    assert recorded or "Berlin" in (rows(ended)[0].carrier_status or "")


def test_without_credentials_a_call_is_given_up_after_the_grace(
    ended: Installation, server: RestServer
) -> None:
    service = reconciler(ended, server, password="")
    ended.clock.step(59)
    service.sweep()
    assert rows(ended) == []
    ended.clock.step(1)
    service.sweep()
    assert (
        rows(ended)[0].carrier_status
        == "no callback came, and no credentials are set to look the recording up"
    )
    assert server.seen == []


@pytest.mark.parametrize("answer", [Answer(500), Answer(401), Answer(200, b"<html>")])
def test_carrier_that_cannot_be_asked_is_asked_again(
    ended: Installation, server: RestServer, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    server.put(LIST, answer, listed((SID, "completed", None)))
    service = reconciler(ended, server)
    ended.clock.step(60)
    with caplog.at_level(logging.WARNING):
        service.sweep()
    assert rows(ended) == [] and "looking up a recording failed" in caplog.text
    ended.clock.step(60)
    service.sweep()
    assert states(ended) == [(SID, CloudState.COMPLETED)]


@pytest.mark.parametrize(
    "state", [CloudState.COMPLETED, CloudState.ABSENT, CloudState.STORED, CloudState.PARKED]
)
def test_call_whose_recording_is_known_is_left_alone(
    ended: Installation, server: RestServer, state: CloudState
) -> None:
    with ended.database.write() as conn:
        recordings.upsert(conn, RecordingRow(SID, CALL, leg(1), state, ended.clock.now()))
    ended.clock.step(600)
    reconciler(ended, server).sweep()
    assert server.seen == [] and states(ended) == [(SID, state)]


def test_live_and_closed_calls_are_left_alone(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    installation.clock.step(600)
    service = reconciler(installation, server)
    service.sweep()
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.CLOSED, installation.clock.now())
    installation.clock.step(600)
    service.sweep()
    assert server.seen == []


def test_known_recording_publishes_no_second_event(ended: Installation, server: RestServer) -> None:
    server.put(LIST, listed((SID, "processing", None)))
    service = reconciler(ended, server)
    for step_s in (60, 60, 120):
        ended.clock.step(step_s)
        service.sweep()
    assert len(server.seen) == 3
    reported = [event for event in ended.stored_events() if event.kind is EventKind.RECORDING]
    assert len(reported) == 1


async def test_running_survives_a_failing_sweep(
    ended: Installation, server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = reconciler(ended, server, record=False)
    sweep, failures = service.sweep, [1]

    def sometimes() -> None:
        if failures and failures.pop():
            raise RuntimeError("the database is busy")
        sweep()

    monkeypatch.setattr(service, "sweep", sometimes)

    job = PeriodicJob(name="reconcile", job=lambda: service.sweep(), interval_s=0.001)
    task = asyncio.create_task(job.run())
    await eventually(lambda: rows(ended))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
