import json

import pytest

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, StreamSid
from callreel.ingest.stale_calls import STALE_AFTER_S, StaleCalls
from callreel.store.calls import calls, streams
from callreel.store.calls.streams import EndedBy, StreamRow
from tests.support.installation import ACCOUNT, NOON, Installation, a_call, leg
from tests.support.rest_server import Answer, RestServer

CALL = CallId("000000000001")
STREAM = StreamSid("MZ" + "1" * 32)
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{leg(1)}.json"


def says(status: str) -> Answer:
    return Answer(body=json.dumps({"sid": leg(1), "status": status}).encode())


def silent_calls(
    installation: Installation, server: RestServer, ended: list[CallId], *, secret: str = "secret"
) -> StaleCalls:
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", secret, timeout_s=5))
    return StaleCalls(installation.database, carrier, installation.clock, ended.append)


def test_stale_call_ends_once_the_carrier_says_so(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    ended: list[CallId] = []
    service = silent_calls(installation, server, ended)
    server.put(PATH, says("in-progress"), says("completed"))
    assert service.sweep() == 0 and server.seen == [], "it may still be ringing"
    installation.clock.step(STALE_AFTER_S + 1)
    assert service.sweep() == 0 and ended == []
    assert service.sweep() == 0 and len(server.seen) == 1, "not asked for again at once"
    installation.clock.step(STALE_AFTER_S + 1)
    assert service.sweep() == 1 and ended == [CALL]


@pytest.mark.parametrize("running", [True, False])
def test_call_is_not_checked_soon_after_its_stream(
    installation: Installation, server: RestServer, running: bool
) -> None:
    a_call(installation)
    with installation.database.write() as conn:
        streams.insert(
            conn, StreamRow(sid=STREAM, call_id=CALL, leg_sid=leg(1), origin_ms=0, started_at=NOON)
        )
    installation.clock.step(2 * STALE_AFTER_S)
    if not running:
        with installation.database.write() as conn:
            streams.finish(conn, STREAM, installation.clock.now(), EndedBy.STOP, {})
    service = silent_calls(installation, server, [])
    installation.clock.step(STALE_AFTER_S - 1)
    service.sweep()
    assert server.seen == []
    installation.clock.step(2)
    server.put(PATH, says("completed"))
    assert service.sweep() == (0 if running else 1)


def test_call_unknown_to_the_carrier_is_over(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    installation.clock.step(STALE_AFTER_S + 1)
    ended: list[CallId] = []
    assert silent_calls(installation, server, ended).sweep() == 1 and ended == [CALL]


def test_without_credentials_a_day_decides(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    ended: list[CallId] = []
    service = silent_calls(installation, server, ended, secret="")
    installation.clock.step(86_399)
    assert service.sweep() == 0
    installation.clock.step(86_400)
    assert service.sweep() == 1 and server.seen == []


def test_refusing_carrier_is_not_asked_again_soon(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    installation.clock.step(STALE_AFTER_S + 1)
    server.put(PATH, Answer(429, headers={"Retry-After": "600"}), says("canceled"))
    ended: list[CallId] = []
    service = silent_calls(installation, server, ended)
    for _ in range(19):
        assert service.sweep() == 0
        installation.clock.step(30)
    assert len(server.seen) == 1
    installation.clock.step(31)
    assert service.sweep() == 1 and ended == [CALL]


def test_ended_call_is_not_checked(installation: Installation, server: RestServer) -> None:
    a_call(installation)
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, NOON)
    installation.clock.step(STALE_AFTER_S + 1)
    assert silent_calls(installation, server, []).sweep() == 0 and server.seen == []
