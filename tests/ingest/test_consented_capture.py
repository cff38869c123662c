"""Recording and streaming after consent: in this order, repeated until the leg is in progress, once, and never without it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.consent import Answer, Mode, Stamp
from callreel.domain.ids import CallId
from callreel.ingest import consented_capture
from callreel.ingest.consented_capture import ConsentedCapture
from callreel.ingest.stream_restart import StreamRestarter
from callreel.store.calls import calls, consents
from tests.support.installation import (
    ACCOUNT,
    NOON,
    PROCESS,
    Installation,
    a_call,
    answer_options,
    eventually_blocking,
    leg,
)
from tests.support.rest_server import Answer as Reply
from tests.support.rest_server import RestServer

CALL = CallId("000000000001")
RECORDINGS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{leg(1)}/Recordings.json"
STREAMS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{leg(1)}/Streams.json"
CREATED = Reply(201, json.dumps({"sid": "RE1"}).encode())
NOT_IN_PROGRESS = Reply(400, b'{"code": 21220}')
STAMP = Stamp(call_id=CALL, mode=Mode.ASK, policy_version=1, answer=Answer.GRANTED, answered_at=NOON)


@pytest.fixture
def server(server: RestServer) -> RestServer:
    server.put(RECORDINGS, CREATED)
    server.put(STREAMS, CREATED)
    return server


@contextmanager
def capture(
    installation: Installation, server: RestServer, stamp: Stamp = STAMP
) -> Iterator[ConsentedCapture]:
    a_call(installation)
    with installation.database.write() as conn:
        consents.insert(conn, stamp)
    access = CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5)
    options = answer_options()
    restarter = StreamRestarter(
        installation.database, access, options, installation.clock, lambda: "stream-token"
    )
    service = ConsentedCapture(
        installation.database, installation.commits, restarter, options, installation.clock
    )
    try:
        yield service
    finally:
        service.close()
        restarter.close()


def stamp_of(installation: Installation) -> Stamp:
    with installation.database.read() as conn:
        found = consents.of_call(conn, CALL)
    assert found is not None
    return found


def paths(server: RestServer) -> list[str]:
    return [request.path for request in server.seen]


def test_recording_then_stream_are_requested_once_in_progress(
    installation: Installation, server: RestServer
) -> None:
    server.put(RECORDINGS, NOT_IN_PROGRESS, NOT_IN_PROGRESS, CREATED)
    with capture(installation, server) as service:
        service.start(CALL).result(10)
        assert paths(server) == [RECORDINGS] * 3 + [STREAMS]
        asked = parse_qs(server.seen[2].body.decode())
        assert (asked["RecordingChannels"], asked["Trim"]) == (["dual"], ["do-not-trim"])
        assert asked["RecordingStatusCallbackEvent"] == ["in-progress", "completed", "absent"]
        assert parse_qs(server.seen[3].body.decode())["Parameter1.Value"] == ["stream-token"]
        event = installation.published[-1]
        assert (event.kind, event.data["text"]) == ("consent", "Recorded with consent.")


def test_permanent_refusal_is_kept_with_the_call(installation: Installation, server: RestServer) -> None:
    server.put(RECORDINGS, Reply(401))
    with capture(installation, server) as service:
        service.start(CALL).result(10)
        service.sweep()
        assert paths(server) == [RECORDINGS], "not tried again"
        reason = stamp_of(installation).unrecorded
        assert reason is not None and reason.code == "recording_not_started" and "401" in reason.detail


@pytest.mark.parametrize("claimed", [False, True])
def test_sweep_continues_for_a_process_that_died(
    installation: Installation, server: RestServer, claimed: bool
) -> None:
    stamp = replace(STAMP, capture_claimed_until=NOON + consented_capture.CLAIM) if claimed else STAMP
    with capture(installation, server, stamp) as service:
        if claimed:
            service.sweep()
            assert server.seen == [], "another process is about to do it"
            installation.clock.step(consented_capture.CLAIM.total_seconds() + 1)
        service.sweep()
        eventually_blocking(lambda: stamp_of(installation).capture_at)
        assert paths(server) == [RECORDINGS, STREAMS]


@pytest.mark.parametrize("answer", [None, Answer.DECLINED, Answer.NONE])
def test_nothing_is_requested_without_consent(
    installation: Installation, server: RestServer, answer: Answer | None
) -> None:
    with capture(installation, server, replace(STAMP, answer=answer)) as service:
        service.start(CALL).result(10)
        service.sweep()
        assert server.seen == []


def test_nothing_is_requested_after_the_call(installation: Installation, server: RestServer) -> None:
    with capture(installation, server) as service:
        with installation.database.write() as conn:
            calls.end(conn, CALL, NOON, PROCESS)
        service.sweep()
        service.start(CALL).result(10)
        assert server.seen == []


def test_broken_stream_is_not_restarted_without_consent(
    installation: Installation, server: RestServer
) -> None:
    a_call(installation)
    with installation.database.write() as conn:
        consents.insert(conn, replace(STAMP, mode=Mode.OFF, answer=None))
    access = CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5)
    restarter = StreamRestarter(
        installation.database, access, answer_options(), installation.clock, lambda: "token"
    )
    assert not restarter.request(CALL, leg(1)) and server.seen == []
    restarter.close()
