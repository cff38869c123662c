"""An hour in which the carrier refuses everything, with a clock that is fed: nothing is lost, nothing asks without end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from callreel.carrier.resources import RecordingResource, page_json
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.verdict import Verdict
from callreel.services.carrier_list import CarrierList
from callreel.services.cloud import CarrierAccess, CarrierRecordings
from callreel.services.deletion import Deletion
from callreel.services.dispatch import workflow_key
from callreel.services.reconcile import LookAgain, Reconciler
from callreel.services.stages import Stages
from callreel.services.upkeep import LOOK_EVERY_S, Upkeep
from callreel.store import calls, recordings
from tests.services.ground import ACCOUNT, NOON, Ground, a_call, leg
from tests.services.recorded_call import MEDIA, SID, Recorded, recorded_call
from tests.services.rest_server import Answer, RestServer, rest_server
from tests.services.test_stages import Remembered, run

HOUR_S = 3_600
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"

REFUSALS = {
    "revoked": Answer(401),
    "down": Answer(503),
    "quota": Answer(429, headers={"Retry-After": "900"}),
    "broken": Answer(body=b"x" * 1000, cut_at=10),
}


@dataclass
class Hour:
    """The dispatcher, the stages and the upkeep of one installation, driven by a fed clock."""

    recorded: Recorded

    def __post_init__(self) -> None:
        ground, recorded = self.recorded.ground, self.recorded
        self.stages = Stages(
            ground.database, ground.announcer, recorded.fetching(max_attempts=8), recorded.transcribing(),
            recorded.judging(),
        )  # fmt: skip
        self.upkeep = Upkeep(
            ground.database, ground.clock,
            CarrierList(ground.database, ground.announcer, recorded.carrier, ground.clock),
            Deletion(ground.database, ground.blobs, recorded.carrier, ground.clock, after_days=None),
            unfinished=set, days=3, usable=True,
        )  # fmt: skip

    def work(self) -> None:
        """Start what is not started, and run it to its end; its waits pass on the clock."""
        clock, database = self.recorded.ground.clock, self.recorded.ground.database
        with database.read() as conn:
            waiting = recordings.undispatched(conn)
        for row in waiting:
            with database.write() as conn:
                recordings.mark_dispatched(conn, row.sid, clock.now())
            run(self.stages, Waiting(clock.step), workflow_key(row))

    def pass_until(self, at_s: float) -> None:
        clock = self.recorded.ground.clock
        while clock.monotonic_s() < at_s:
            self.upkeep.look_after_rows()
            self.work()
            clock.step(LOOK_EVERY_S)


class Waiting(Remembered):
    """Steps whose waits move the clock."""

    def __init__(self, step: Callable[[float], None]) -> None:
        Remembered.__init__(self)
        self._step = step

    def sleep(self, seconds: float) -> None:
        self._step(seconds)


@pytest.fixture
def recorded(ground: Ground) -> Iterator[Recorded]:
    with recorded_call(ground) as made:
        yield made


@pytest.mark.parametrize("refusal", REFUSALS)
def test_fetching_is_parked_with_its_reason_and_resumes_by_itself(recorded: Recorded, refusal: str) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, REFUSALS[refusal])
    hour = Hour(recorded)
    begin_s = recorded.ground.clock.monotonic_s()
    hour.pass_until(begin_s + HOUR_S)
    row = recorded.recording()
    assert row.state is CloudState.PARKED and row.stage_error and row.retry_at is not None
    assert [reason.code for reason in recorded.call.reasons] == ["cloud_parked"]
    asked = len(recorded.server.seen)
    assert 3 <= asked <= 8 * 7, f"{asked} requests in an hour"
    if refusal == "quota":
        assert asked <= 5, "Retry-After is kept to"
    recorded.server.put(MEDIA, *whole)
    hour.pass_until(begin_s + 2.5 * HOUR_S)
    row = recorded.recording()
    assert (row.state, row.stage_error) == (CloudState.STORED, None)
    assert recorded.call.verdict is Verdict.VERIFIED, "and judged anew"


def test_one_click_resumes_at_once(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, REFUSALS["revoked"])
    hour = Hour(recorded)
    hour.work()
    recorded.server.put(MEDIA, *whole)
    with recorded.ground.database.write() as conn:
        assert recordings.retry(conn, SID, recorded.ground.clock.now())
    hour.work()
    assert recorded.recording().state is CloudState.STORED
    assert recorded.call.verdict is Verdict.VERIFIED


@pytest.fixture
def server() -> Iterator[RestServer]:
    with rest_server() as running:
        yield running


@pytest.mark.parametrize("refusal", ["revoked", "down"])
def test_asking_for_the_recordings_of_many_calls_is_no_hot_loop(
    ground: Ground, server: RestServer, refusal: str
) -> None:
    """Twenty calls whose callbacks were lost, and a carrier that refuses for an hour: looked at again and again."""
    first = a_call(ground, 1)
    with ground.database.write() as conn:
        for number in range(2, 21):
            calls.insert(conn, replace(first, id=CallId(f"{number:012x}"), leg_sid=leg(number)))
        for number in range(1, 21):
            calls.set_state(conn, CallId(f"{number:012x}"), CallState.ENDED, NOON)
    server.put(LIST, REFUSALS[refusal])
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    service = Reconciler(
        ground.database, ground.announcer, carrier, ground.clock, LookAgain(60, 86_400), record=True
    )
    for _ in range(HOUR_S // 20):
        service.sweep()
        ground.clock.step(20)
    assert 2 <= len(server.seen) <= 40, f"{len(server.seen)} requests in an hour"
    for number in range(1, 21):
        server.put(f"{LIST}?CallSid={leg(number)}&PageSize=100", listed(number))
    server.put(LIST, Answer(body=b"{}"))
    for _ in range(2 * HOUR_S // 120):
        service.sweep()
        ground.clock.step(120)
    with ground.database.read() as conn:
        found = [row.state for n in range(1, 21) for row in recordings.of_call(conn, CallId(f"{n:012x}"))]
    assert found == [CloudState.COMPLETED] * 20, "nothing is missing afterwards"
    carrier.close()


def listed(number: int) -> Answer:
    item = RecordingResource(
        RecordingSid(f"RE{number:032x}"), leg(number), "completed", duration_s=41, channels=2, error_code=None
    ).to_json(ACCOUNT, created=NOON, updated=NOON)
    return Answer(body=json.dumps(page_json("recordings", [item], path=LIST, page=0, page_size=100)).encode())
