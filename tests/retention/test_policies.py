"""Retention policies at work: audio, text or numbers alone, what a hold and the carrier keep, preview and report."""

from datetime import timedelta
from pathlib import Path

import pytest

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import LiveEvent
from callreel.domain.label import LabelColor
from callreel.domain.retention import DataKind, parse_rules
from callreel.retention.legal_hold import LegalHolds
from callreel.retention.policies import Retention, expiry_summary, preview
from callreel.review.summary import call_summary
from callreel.store.calls import callbacks, calls, erasures, expired, labels, layers
from callreel.store.transcripts import finals, revisions
from tests.support.installation import ACCOUNT, SteppedClock
from tests.support.rest_server import Answer, RestServer
from tests.support.seed import DONE, NUMBER, SUSPECT, Seed

COPY = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{DONE * 2}00000000"


@pytest.fixture
def server(server: RestServer) -> RestServer:
    server.put(f"{COPY}.json", Answer(204))
    server.put(f"{COPY}/Transcriptions.json", Answer(200, b'{"transcriptions": []}'))
    return server


def swept(
    place: Seed,
    server: RestServer,
    rules: str,
    days: float,
    publishing: type[EventPublisher] = EventPublisher,
) -> int:
    """What a sweep deletes so many days after the call."""
    clock = SteppedClock()
    clock.step(days * 86_400)
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    publisher = publishing(place.database, place.bus, clock)
    try:
        return Retention(place.database, place.blobs, carrier, publisher, clock, parse_rules(rules)).sweep()
    finally:
        carrier.close()


def test_audio_goes_everywhere_and_text_stays(place: Seed, server: RestServer) -> None:
    with place.database.read() as conn:
        files = layers.of_call(conn, DONE)
    assert swept(place, server, "verdict=verified audio=30", 29) == 0
    assert swept(place, server, "verdict=verified audio=30", 31) == 1
    assert swept(place, server, "verdict=verified audio=30", 32) == 0, "once"
    with place.database.read() as conn:
        assert layers.of_call(conn, DONE) == [] and revisions.shown(conn, DONE) is not None
        [record] = expired.newest(conn, 10)
        summary = call_summary(conn, DONE)
    assert all(place.blobs.stat(file.path) is None for file in files)
    assert record.files == {file.path: file.sha256 for file in files} and record.done_at
    assert (record.policy, record.counts) == ("rule 1: audio=30", {"layers": len(files)})
    assert [seen.path for seen in server.seen].count(f"{COPY}.json") == 1
    assert summary is not None and summary["layers"] == [] and summary["turns"]


def test_text_and_numbers_go_and_audio_stays(place: Seed, server: RestServer, tmp_path: Path) -> None:
    with place.database.write() as conn:
        callbacks.insert(
            conn, "recording", f"CA{DONE * 2}00000000:completed", {"From": NUMBER}, SteppedClock().now()
        )
    assert swept(place, server, "agent=maria verdict=verified text=5 numbers=5", 6) == 2
    with place.database.read() as conn:
        call = calls.get(conn, DONE)
        assert call is not None and call.remote_number == "deleted"
        assert revisions.shown(conn, DONE) is None and finals.of_call(conn, DONE) == []
        assert len(layers.of_call(conn, DONE)) == 7
        records = {row.kind: row.counts for row in expired.of_call(conn, DONE)}
        assert conn.exec_driver_sql("SELECT count(*) FROM callbacks").scalar_one() == 0
    assert records[DataKind.TEXT]["transcripts"] == 1 and records[DataKind.NUMBERS]["calls"] == 1
    with place.database.read() as conn:
        gone = expiry_summary(conn, parse_rules("text=5 call=9"), DONE)
    assert isinstance(gone["expires"], dict) and set(gone["expires"]) == {"call"}
    place.database.close()
    words = b"falling slowly"
    assert not [path for path in tmp_path.glob("*.db*") if words in path.read_bytes()]


def test_hold_wins_and_an_unreachable_carrier_is_tried_again(place: Seed, server: RestServer) -> None:
    clock = SteppedClock()
    holding = LegalHolds(place.database, EventPublisher(place.database, place.bus, clock), clock)
    holding.hold(DONE, "case 17", "sam")
    rules = parse_rules("audio=30 text=30")
    held = preview(place.database, rules, clock.now() + timedelta(days=40))
    assert {one.kind for one in held if one.call_id == DONE and one.held} == {DataKind.AUDIO, DataKind.TEXT}
    swept(place, server, "verdict=verified audio=30", 40)
    with place.database.read() as conn:
        assert len(layers.of_call(conn, DONE)) == 7
    holding.release(DONE, "closed", "sam")
    server.put(f"{COPY}/Transcriptions.json", Answer(503), Answer(200, b'{"transcriptions": []}'))
    assert swept(place, server, "verdict=verified audio=30", 40) == 0
    with place.database.read() as conn:
        [waiting] = expired.of_call(conn, DONE)
        assert waiting.done_at is None and len(layers.of_call(conn, DONE)) == 7
    assert swept(place, server, "verdict=verified audio=30", 41) == 1


def test_whole_call_goes_by_erasure_and_not_by_parts(place: Seed, server: RestServer) -> None:
    assert swept(place, server, "verdict=verified audio=30 call=20", 40) == 1
    with place.database.read() as conn:
        order = erasures.get(conn, DONE)
        [record] = expired.of_call(conn, DONE)
    assert order is not None and (order.by, order.reason) == ("policy", "rule 1: call=20")
    assert record.kind is DataKind.CALL
    assert swept(place, server, "verdict=verified call=20", 41) == 0


def test_label_keeps_a_call_until_it_is_removed(place: Seed, server: RestServer) -> None:
    rules = "label=complaint audio=never; verdict=verified audio=30"
    until = SteppedClock().now() + timedelta(days=40)
    with place.database.write() as conn:
        label = labels.add(conn, "complaint", LabelColor.RED)
        labels.attach(conn, DONE, label.id, "sam", until)
        assert expiry_summary(conn, parse_rules(rules), DONE)["expires"] == {}
    assert preview(place.database, parse_rules(rules), until) == []
    assert swept(place, server, rules, 40) == 0
    with place.database.write() as conn:
        labels.detach(conn, DONE, label.id)
    [due] = preview(place.database, parse_rules(rules), until)
    assert (due.call_id, due.policy) == (DONE, "rule 2: audio=30")
    assert swept(place, server, rules, 40) == 1


@pytest.mark.parametrize("kind", list(DataKind))
def test_label_given_during_a_sweep_keeps_the_call(place: Seed, server: RestServer, kind: DataKind) -> None:
    with place.database.write() as conn:
        label = labels.add(conn, "complaint", LabelColor.RED)

    class Labeling(EventPublisher):
        """When the sweep has deleted the first call's text, a person labels the second."""

        def publish(self, *events: LiveEvent) -> None:
            with place.database.write() as conn:
                labels.attach(conn, SUSPECT, label.id, "sam", SteppedClock().now())

    rules = f"label=complaint {kind.value}=never; verdict=verified text=5; verdict=suspect {kind.value}=20"
    due = preview(place.database, parse_rules(rules), SteppedClock().now() + timedelta(days=40))
    assert [(one.call_id, one.kind) for one in due] == [(DONE, DataKind.TEXT), (SUSPECT, kind)]
    assert swept(place, server, rules, 40, Labeling) == 1
    with place.database.read() as conn:
        assert erasures.get(conn, SUSPECT) is None and expired.of_call(conn, SUSPECT) == []
