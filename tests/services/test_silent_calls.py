import json
from collections.abc import Iterator

import pytest

from callreel.domain.call import CallState
from callreel.domain.ids import CallId, StreamSid
from callreel.services.cloud import CarrierAccess, CarrierRecordings
from callreel.services.silent_calls import SILENT_S, SilentCalls
from callreel.store import calls, streams
from callreel.store.streams import EndedBy, StreamRow
from tests.services.ground import ACCOUNT, NOON, Ground, a_call, leg
from tests.services.rest_server import Answer, RestServer, rest_server

CALL = CallId("000000000001")
STREAM = StreamSid("MZ" + "1" * 32)
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{leg(1)}.json"


@pytest.fixture
def server() -> Iterator[RestServer]:
    with rest_server() as running:
        yield running


def says(status: str) -> Answer:
    return Answer(body=json.dumps({"sid": leg(1), "status": status}).encode())


def silent_calls(
    ground: Ground, server: RestServer, ended: list[CallId], *, secret: str = "secret"
) -> SilentCalls:
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", secret, timeout_s=5))
    return SilentCalls(ground.database, carrier, ground.clock, ended.append)


def test_a_call_whose_end_nobody_told_of_ends_as_if_the_carrier_had_said_so(
    ground: Ground, server: RestServer
) -> None:
    a_call(ground)
    ended: list[CallId] = []
    service = silent_calls(ground, server, ended)
    server.put(PATH, says("in-progress"), says("completed"))
    assert service.sweep() == 0 and server.seen == [], "it may still be ringing"
    ground.clock.step(SILENT_S + 1)
    assert service.sweep() == 0 and ended == []
    assert service.sweep() == 0 and len(server.seen) == 1, "not asked for again at once"
    ground.clock.step(SILENT_S + 1)
    assert service.sweep() == 1 and ended == [CALL]


@pytest.mark.parametrize("running", [True, False])
def test_a_call_with_a_stream_is_not_asked_for_until_long_after_it(
    ground: Ground, server: RestServer, running: bool
) -> None:
    a_call(ground)
    with ground.database.write() as conn:
        streams.insert(
            conn, StreamRow(sid=STREAM, call_id=CALL, leg_sid=leg(1), origin_ms=0, started_at=NOON)
        )
    ground.clock.step(2 * SILENT_S)
    if not running:
        with ground.database.write() as conn:
            streams.finish(conn, STREAM, ground.clock.now(), EndedBy.STOP, {})
    service = silent_calls(ground, server, [])
    ground.clock.step(SILENT_S - 1)
    service.sweep()
    assert server.seen == []
    ground.clock.step(2)
    server.put(PATH, says("completed"))
    assert service.sweep() == (0 if running else 1)


def test_a_carrier_that_does_not_know_it_means_that_it_is_over(ground: Ground, server: RestServer) -> None:
    a_call(ground)
    ground.clock.step(SILENT_S + 1)
    ended: list[CallId] = []
    assert silent_calls(ground, server, ended).sweep() == 1 and ended == [CALL]


def test_without_anybody_to_ask_a_day_decides(ground: Ground, server: RestServer) -> None:
    a_call(ground)
    ended: list[CallId] = []
    service = silent_calls(ground, server, ended, secret="")
    ground.clock.step(86_399)
    assert service.sweep() == 0
    ground.clock.step(86_400)
    assert service.sweep() == 1 and server.seen == []


def test_a_carrier_that_refuses_is_left_alone(ground: Ground, server: RestServer) -> None:
    a_call(ground)
    ground.clock.step(SILENT_S + 1)
    server.put(PATH, Answer(429, headers={"Retry-After": "600"}), says("canceled"))
    ended: list[CallId] = []
    service = silent_calls(ground, server, ended)
    for _ in range(19):
        assert service.sweep() == 0
        ground.clock.step(30)
    assert len(server.seen) == 1
    ground.clock.step(31)
    assert service.sweep() == 1 and ended == [CALL]


def test_an_ended_call_is_nothing_to_ask_for(ground: Ground, server: RestServer) -> None:
    a_call(ground)
    with ground.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, NOON)
    ground.clock.step(SILENT_S + 1)
    assert silent_calls(ground, server, []).sweep() == 0 and server.seen == []
