from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.cost import Prices
from callreel.domain.ids import RecordingSid
from callreel.domain.pause import ANY, UNCONFIRMED, CarrierPause, PauseCause
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.verdict import Verdict
from callreel.retention.carrier_deletion import Deletion, saved_a_month
from callreel.store.calls import calls, deletions, layers, recordings
from callreel.store.db.tables import pauses
from tests.support.installation import ACCOUNT, NOON, Installation, a_call, leg
from tests.support.rest_server import Answer, RestServer
from tests.support.rows import all_calls

SID = RecordingSid("RE" + "1" * 32)
KEY = f"twilio_recordings/{leg(1)}_{SID}.wav"
COPY = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}.json"


@pytest.fixture
def server(server: RestServer) -> RestServer:
    server.put(COPY, Answer(204))
    return server


@pytest.fixture
def kept(installation: Installation) -> Installation:
    """A closed, verified call whose recording is stored."""
    call = a_call(installation)
    blob = installation.blobs.put(KEY, [b"RIFF" + bytes(996)])
    file = LayerFile(
        Layer.CLOUD, None, KEY, 8_000, 2, 90_000, blob.size_bytes, blob.sha256, LayerState.CLOSED
    )
    with installation.database.write() as conn:
        layers.upsert(conn, call.id, file)
        recordings.upsert(conn, recordings.RecordingRow(SID, call.id, leg(1), CloudState.STORED, NOON))
        calls.set_verdict(conn, call.id, Verdict.VERIFIED, (), ())
        calls.set_state(conn, call.id, CallState.CLOSED, NOON)
    return installation


def deletion(
    installation: Installation,
    server: RestServer,
    after_days: int | None = 7,
    paused: frozenset[CarrierPause] = frozenset(),
) -> Deletion:
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    return Deletion(
        installation.database, installation.blobs, carrier, installation.clock, after_days=after_days,
        paused=paused,
    )  # fmt: skip


def age(installation: Installation, days: float) -> None:
    installation.clock.step(timedelta(days=days).total_seconds())


def tombstones(installation: Installation) -> list[tuple[str, bool]]:
    with installation.database.read() as conn:
        return [(row.sid, row.already_deleted) for row in deletions.all_deletions(conn)]


def test_verified_recording_is_deleted_once_after_its_days(kept: Installation, server: RestServer) -> None:
    policy = deletion(kept, server)
    age(kept, 6.9)
    assert policy.sweep() == [] and server.seen == []
    age(kept, 0.2)
    (outcome,) = policy.sweep()
    assert (outcome.sid, outcome.reason, outcome.duration_ms) == (SID, None, 90_000)
    assert policy.sweep() == []
    assert len(server.seen) == 1 and tombstones(kept) == [(SID, False)]


def test_without_a_period_nothing_is_deleted(kept: Installation, server: RestServer) -> None:
    age(kept, 1_000)
    assert deletion(kept, server, None).sweep() == [] and server.seen == []


@pytest.mark.parametrize(
    ("state", "policy", "deleted"),
    [
        (CarrierPause.REFUSED, UNCONFIRMED, True),
        (CarrierPause.AWAY, UNCONFIRMED, True),
        (CarrierPause.PAUSED, UNCONFIRMED, False),
        (CarrierPause.PAUSED, ANY, True),
        (None, ANY, False),
    ],
)
def test_recording_with_a_pause_is_deleted_by_policy_at_once(
    kept: Installation,
    server: RestServer,
    state: CarrierPause | None,
    policy: frozenset[CarrierPause],
    deleted: bool,
) -> None:
    with kept.database.write() as conn:
        if state is not None:
            call_id = all_calls(conn)[0].id
            conn.execute(
                insert(pauses).values(
                    call_id=call_id, began_at=NOON, cause=PauseCause.PERSON, by="", carrier=state,
                    carrier_error="", carrier_resumed=True, carrier_at=NOON,
                )
            )  # fmt: skip
    assert [bool(outcome.reason) for outcome in deletion(kept, server, None, policy).sweep()] == [
        False
    ] * deleted
    assert tombstones(kept) == [(SID, False)] * deleted


def test_dry_run_lists_deletions_without_requests(kept: Installation, server: RestServer) -> None:
    age(kept, 8)
    (outcome,) = deletion(kept, server).sweep(dry_run=True)
    assert outcome.reason is None and server.seen == [] and tombstones(kept) == []


def test_missing_carrier_copy_counts_as_deleted(kept: Installation, server: RestServer) -> None:
    server.put(COPY, Answer(404))
    age(kept, 8)
    assert [outcome.reason for outcome in deletion(kept, server).sweep()] == [None]
    assert tombstones(kept) == [(SID, True)]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [("bytes", "the digest of our copy"), ("length", "expected 1000"), ("gone", "our copy is missing")],
)
def test_damaged_local_copy_prevents_the_deletion(
    kept: Installation, server: RestServer, harm: str, reason: str
) -> None:
    path = kept.blobs.path(KEY)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(1_000 if harm == "bytes" else 999))
    age(kept, 8)
    (outcome,) = deletion(kept, server).sweep()
    assert outcome.reason is not None and reason in outcome.reason
    assert server.seen == [] and tombstones(kept) == []


@pytest.mark.parametrize("status", [401, 429, 500])
def test_refused_deletion_is_retried_by_the_next_sweep(
    kept: Installation, server: RestServer, status: int
) -> None:
    server.put(COPY, Answer(status), Answer(204))
    age(kept, 8)
    policy = deletion(kept, server)
    assert [outcome.reason for outcome in policy.sweep()] == [f"the carrier answered {status} to a deletion"]
    assert tombstones(kept) == []
    assert [outcome.reason for outcome in policy.sweep()] == [None]


def test_carrier_copy_of_a_suspect_call_is_kept(kept: Installation, server: RestServer) -> None:
    with kept.database.write() as conn:
        (call,) = all_calls(conn)
        calls.set_verdict(conn, call.id, Verdict.SUSPECT, (), ())
    age(kept, 100)
    assert deletion(kept, server).sweep() == []


def test_savings_count_started_minutes() -> None:
    prices = Prices(storage_per_minute_month=Decimal("0.0005"))
    assert saved_a_month([90_000, 60_000], prices) == Decimal("0.0015")
