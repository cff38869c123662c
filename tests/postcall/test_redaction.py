"""The redact stage where originals are destroyed: proof, byte-wise absence, archived audio, legal hold, kills."""

from pathlib import Path

import pytest
from sqlalchemy import update

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.errors import CallErasedError
from callreel.domain.recording import FILE_PREFIX
from callreel.domain.redaction import Entity, RedactionPolicy, Stretch
from callreel.domain.verdict import Verdict
from callreel.domain.work import Workflow, order_key
from callreel.postcall.measuring import Measuring
from callreel.retention.archive import Archiver
from callreel.retention.legal_hold import LegalHolds
from callreel.review.redacting import RedactionError
from callreel.runtime.clock import Clock
from callreel.store.audio.layer_audio import layer_digest
from callreel.store.calls import calls, deletions, erasures, layers, measures, originals, outbox
from callreel.store.db.tables import recordings
from callreel.store.transcripts import revisions
from tests.support.fake_engine import FakeEngine
from tests.support.installation import LoudnessDetector
from tests.support.seed import DONE, NOON, Seed
from tests.support.spoken_card import MASKED, redactor, say_card

DESTROY = RedactionPolicy.REDACTED_ONLY


@pytest.fixture
def place(place: Seed) -> Seed:
    say_card(place)
    return place


def bytes_anywhere(folder: Path, wanted: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()]


@pytest.mark.parametrize("archived", [False, True])
def test_originals_are_destroyed_with_proof(place: Seed, tmp_path: Path, archived: bool) -> None:
    if archived:
        archiver = Archiver(place.database, place.blobs, Clock(), after=None, only_trusted=False)
        archiver.archive(DONE)
    with place.database.read() as conn:
        before = {file.path: file for file in layers.of_call(conn, DONE)}
    assert bytes_anywhere(tmp_path, b"4111")
    with redactor(place, DESTROY) as (stage, server):
        assert stage.redact(DONE) == 1
        deleted = [seen.path for seen in server.seen if seen.path.endswith(f"RE{DONE * 2}00000000.json")]
        assert len(deleted) == 1, "the carrier's copy is deleted once"
        assert stage.redact(DONE) == 0
    with place.database.read() as conn:
        row, files = calls.get(conn, DONE), layers.of_call(conn, DONE)
        proof, shown = originals.of_call(conn, DONE), revisions.shown(conn, DONE)
        assert len(deletions.all_deletions(conn)) == 1
    assert row is not None and row.originals_destroyed_at is not None
    assert {one.path: one.sha256 for one in proof} == {path: file.sha256 for path, file in before.items()}
    assert all(one.destroyed_at for one in proof)
    assert {file.path for file in files} == {one.copy_path for one in proof}
    for file in files:
        assert file.archived is None and layer_digest(place.blobs, file) == file.sha256
    for path, file in before.items():
        assert place.blobs.stat(path) is None
        assert file.archived is None or place.blobs.stat(file.archived.key) is None
    assert shown is not None and shown.turns[0].text == MASKED
    place.database.close()
    assert bytes_anywhere(tmp_path, b"4111") == []


def test_originals_from_a_file_are_destroyed_without_the_carrier(place: Seed) -> None:
    with place.database.write() as conn:
        conn.execute(update(recordings).where(recordings.c.call_id == DONE).values(sid=f"{FILE_PREFIX}1"))
    with redactor(place, DESTROY) as (stage, server):
        stage.redact(DONE)
    with place.database.read() as conn:
        assert all(one.destroyed_at for one in originals.of_call(conn, DONE))
    assert server.seen == []


def test_call_with_destroyed_originals_keeps_its_measures(place: Seed) -> None:
    measuring = Measuring(place.database, place.blobs, LoudnessDetector, 1_000)
    with place.database.read() as conn:
        before = measures.of_call(conn, DONE)
    with redactor(place, DESTROY) as (stage, _):
        stage.redact(DONE)
        # Until the added redaction is worked on, the call's row has no time of destruction.
        stage.redacting.add(DONE, Stretch(Role.TECHNICIAN, Entity.OTHER, 1_850, 2_050), "sam")
    assert measuring.measure(DONE) == 0
    with place.database.read() as conn:
        row = calls.get(conn, DONE)
        assert row is not None and row.originals_destroyed_at is None
        assert before is not None and measures.of_call(conn, DONE) == before


def test_held_call_keeps_its_originals_until_it_is_released(place: Seed) -> None:
    publisher = EventPublisher(place.database, place.bus, Clock())
    holding = LegalHolds(place.database, publisher, Clock())
    holding.hold(DONE, "case 17", "sam")
    with redactor(place, DESTROY) as (stage, _):
        stage.redact(DONE)
        with place.database.read() as conn:
            assert originals.of_call(conn, DONE) == []
        assert stage.order_due() == 0
        holding.release(DONE, "closed", "sam")
        assert stage.order_due() == 1 and stage.order_due() == 0
        with place.database.read() as conn:
            [order] = outbox.all_orders(conn)
        assert (order.workflow, order.call_id) == (Workflow.REDACT, DONE)
        stage.redact(DONE)
        with place.database.read() as conn:
            assert all(one.destroyed_at for one in originals.of_call(conn, DONE))


@pytest.mark.parametrize("step", ["redact", "silence", "overwrite", "carrier", "destroy"])
def test_killed_stage_continues(place: Seed, step: str) -> None:
    with redactor(place, DESTROY) as (stage, _):
        engine = FakeEngine({Workflow.REDACT: stage.workflow}, clock=Clock(), die_in=step)
        with pytest.raises(KeyboardInterrupt):
            engine.work_on(Workflow.REDACT, order_key(DONE, "1"))
        engine.work()
        with place.database.read() as conn:
            row, proof = calls.get(conn, DONE), originals.of_call(conn, DONE)
        assert row is not None and row.originals_destroyed_at is not None
        assert len(proof) == 7 and all(one.destroyed_at for one in proof)


def test_added_redaction_of_a_destroyed_original_is_destroyed_too(place: Seed) -> None:
    with redactor(place, DESTROY) as (stage, _):
        stage.redact(DONE)
        redacting = stage.redacting
        with pytest.raises(RedactionError, match="destroyed"):
            redacting.remove(DONE, 1, "sam")
        redacting.add(DONE, Stretch(Role.TECHNICIAN, Entity.OTHER, 1_850, 2_050), "sam")
        with place.database.read() as conn:
            assert [order.workflow for order in outbox.all_orders(conn)] == [Workflow.REDACT]
        stage.redact(DONE)
        with place.database.read() as conn:
            proof, files = originals.of_call(conn, DONE), layers.of_call(conn, DONE)
            shown = revisions.shown(conn, DONE)
    assert shown is not None and shown.turns[0].text == "card [card number] [redacted]"
    assert len(proof) == 14 and all(one.destroyed_at for one in proof)
    assert len(files) == 7 and all(place.blobs.stat(file.path) for file in files)


def test_erased_call_is_not_redacted(place: Seed) -> None:
    with place.database.write() as conn:
        erasures.begin(conn, erasures.ErasureRow(DONE, "ada", NOON, {}))
    with redactor(place, DESTROY) as (stage, _), pytest.raises(CallErasedError):
        stage.redact(DONE)


def test_call_without_findings_keeps_its_files_and_counts_as_redacted(place: Seed) -> None:
    with place.database.read() as conn:
        suspect = next(call_id for call_id in calls.to_redact(conn, destroy=True) if call_id != DONE)
    with redactor(place, DESTROY) as (stage, _):
        assert stage.redact(suspect) == 0
    with place.database.read() as conn:
        row = calls.get(conn, suspect)
        assert suspect not in calls.to_redact(conn, destroy=True)
    assert row is not None and row.redacted_at and row.originals_destroyed_at is None
    assert row.verdict is Verdict.SUSPECT
