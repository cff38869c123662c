"""An hour in which the carrier refuses everything, with a clock that is fed: nothing is lost, nothing asks without end."""

import json
from dataclasses import dataclass, replace

import pytest

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.verdict import Verdict
from callreel.domain.work import Workflow
from callreel.postcall.reconciliation import LookupSchedule, Reconciler
from callreel.simulator.rest.resources import page_json, recording_json
from callreel.store.calls import calls, outbox, recordings
from callreel.twilio.rest_resources import RecordingResource
from tests.support.installation import ACCOUNT, NOON, Installation, a_call, leg
from tests.support.recorded_call import MEDIA, SID, Recorded
from tests.support.rest_server import Answer, RestServer

HOUR_S = 3_600
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"

REFUSALS = {
    "revoked": Answer(401),
    "down": Answer(503),
    "quota": Answer(429, headers={"Retry-After": "900"}),
    "broken": Answer(body=b"x" * 1000, cut_at=10),
}


LOOK_EVERY_S = 15.0


@dataclass
class Hour:
    """The outbox and the workflows of one installation, driven by a stepped clock."""

    recorded: Recorded

    def __post_init__(self) -> None:
        self.engine = self.recorded.engine(park_after=8)

    def work(self) -> None:
        """Start what is ordered, and run what is due."""
        database = self.recorded.installation.database
        with database.read() as conn:
            orders = outbox.due(conn, NOON)
        for order in orders:
            self.engine.start(order.workflow, order.key)
            with database.write() as conn:
                outbox.remove(conn, order)
        self.engine.work_due()

    def pass_until(self, at_s: float) -> None:
        clock = self.recorded.installation.clock
        while clock.monotonic_s() < at_s:
            self.work()
            clock.step(LOOK_EVERY_S)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_fetching_is_parked_with_its_reason_and_resumes(recorded: Recorded, refusal: str) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, REFUSALS[refusal])
    hour = Hour(recorded)
    begin_s = recorded.installation.clock.monotonic_s()
    hour.pass_until(begin_s + HOUR_S)
    row = recorded.recording()
    assert row.state is CloudState.PARKED and row.failure
    assert hour.engine.waits_s != [None]
    assert [reason.code for reason in recorded.call.reasons] == ["cloud_parked"]
    asked = len(recorded.server.seen)
    assert 3 <= asked <= 8 * 7, f"{asked} requests in an hour"
    if refusal == "quota":
        assert asked <= 5, "Retry-After is kept to"
    recorded.server.put(MEDIA, *whole)
    hour.pass_until(begin_s + 2.5 * HOUR_S)
    row = recorded.recording()
    assert (row.state, row.failure) == (CloudState.STORED, None)
    assert recorded.call.verdict is Verdict.VERIFIED, "and judged again"


def test_one_click_resumes_at_once(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, REFUSALS["revoked"])
    hour = Hour(recorded)
    hour.work()
    recorded.server.put(MEDIA, *whole)
    assert hour.engine.run_now(Workflow.DOWNLOAD, SID) == 1
    hour.work()
    assert recorded.recording().state is CloudState.STORED
    assert recorded.call.verdict is Verdict.VERIFIED


@pytest.mark.parametrize("refusal", ["revoked", "down"])
def test_asking_for_the_recordings_of_many_calls_is_no_hot_loop(
    installation: Installation, server: RestServer, refusal: str
) -> None:
    """Twenty calls whose callbacks were lost, and a carrier that refuses for an hour: looked at again and again."""
    first = a_call(installation, 1)
    with installation.database.write() as conn:
        for number in range(2, 21):
            calls.insert(conn, replace(first, id=CallId(f"{number:012x}"), leg_sid=leg(number)))
        for number in range(1, 21):
            calls.set_state(conn, CallId(f"{number:012x}"), CallState.ENDED, NOON)
    server.put(LIST, REFUSALS[refusal])
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    service = Reconciler(
        installation.database,
        installation.publisher,
        carrier,
        installation.clock,
        LookupSchedule(60, 86_400),
        record=True,
    )
    for _ in range(HOUR_S // 20):
        service.sweep()
        installation.clock.step(20)
    assert 2 <= len(server.seen) <= 40, f"{len(server.seen)} requests in an hour"
    for number in range(1, 21):
        server.put(f"{LIST}?CallSid={leg(number)}&PageSize=100", listed(number))
    server.put(LIST, Answer(body=b"{}"))
    for _ in range(2 * HOUR_S // 120):
        service.sweep()
        installation.clock.step(120)
    with installation.database.read() as conn:
        found = [row.state for n in range(1, 21) for row in recordings.of_call(conn, CallId(f"{n:012x}"))]
    assert found == [CloudState.COMPLETED] * 20, "nothing is missing afterwards"
    carrier.close()


def listed(number: int) -> Answer:
    item = recording_json(
        RecordingResource(
            RecordingSid(f"RE{number:032x}"),
            leg(number),
            "completed",
            duration_s=41,
            channels=2,
            error_code=None,
        ),
        ACCOUNT,
        created=NOON,
        updated=NOON,
    )
    return Answer(body=json.dumps(page_json("recordings", [item], path=LIST, page=0, page_size=100)).encode())
