"""Encrypted columns: nothing plain in the database's files, every query as without encryption, and clear errors."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import String, insert, select, text, type_coerce, update
from sqlalchemy.types import JSON

from callreel.domain.call import Role
from callreel.domain.errors import EncryptionKeyError, StoreError
from callreel.domain.ids import CallId
from callreel.domain.note import NoteKind
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.store.calls import call_list, facts, notes
from callreel.store.calls.call_list import CallFilter
from callreel.store.db.database import Database
from callreel.store.db.tables import calls, metadata, technicians, turn_index, turns
from callreel.store.db.tables import notes as note_table
from callreel.store.db.types import Enumerated, SealedJson, SealedText, UTCDateTime
from callreel.store.encryption.keyring import Keyring
from callreel.store.people import technicians as people
from callreel.store.transcripts import search, transcripts
from callreel.store.transcripts.search_query import parse
from tests.support.encryption import MASTER, files_with, keyring_of
from tests.support.rows import a_call

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CALL = CallId("1" * 12)
encrypted = pytest.mark.parametrize("database", ["sqlite encrypted", "postgresql encrypted"], indirect=True)
plain_then_encrypted = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)

PLAIN = {
    "ids, names of ours and of the carrier": {
        "calls.id", "calls.agent", "calls.leg_sid", "calls.owner", "calls.language", "legs.sid", "legs.parent_sid",
        "legs.status", "legs.price_currency", "streams.sid", "streams.leg_sid", "streams.owner", "layers.path", "layers.owner", "layers.spool",
        "recordings.sid", "recordings.leg_sid", "recordings.carrier_status", "recordings.source", "recordings.track", "recordings.price_currency", "outbox.subject",
        "outbox.key", "callbacks.kind", "callbacks.key", "media_tokens.leg_sid", "transcripts.engine",
        "transcripts.model", "transcripts.run", "transcripts.reason", "transcripts.language", "turns.fallback_engine",
        "finals.fallback_engine", "facts.leg_sid", "audit_entries.action", "audit_entries.via", "audit_entries.call_id", "audit_entries.subject",
        "open_accesses.action", "open_accesses.via", "open_accesses.call_id", "open_accesses.subject", "open_accesses.key", "destroyed_originals.archive_key", "destroyed_originals.copy_path", "destroyed_originals.path",
        "expired_data.call_id", "expired_data.policy", "consents.leg_sid", "consents.rule", "consents.notice", "consents.language",
        "consents.answered_by", "consent_sounds.media_type", "facts.kind", "processes.name", "processes.kind", "processes.host",
        "carrier_deletions.sid", "erasures.call_id", "data_keys.purpose", "data_keys.master_key",
        "webhook_endpoints.name", "webhook_deliveries.id", "report_mails.week", "report_mails.recipient", "report_mails.failure", "labels.name", "phrase_alerts.place",
        "analyses.run", "analyses.server", "analyses.model", "analyses.prompt",
    },
    "names of the people who use Callreel": {
        "users.name", "users.identity", "attempts.key", "users.subject", "api_tokens.name", "notes.by", "revisions.by", "vocabulary.added_by", "phrase_rules.by",
        "pauses.by", "audit_entries.actor", "audit_entries.address", "open_accesses.actor", "open_accesses.address",
        "sessions.address", "sessions.device", "redactions.by", "redactions.removed_by", "consent_policies.by", "consent_sounds.by", "erasures.by", "holds.by", "holds.released_by", "call_labels.by", "calls.reviewed_by", "calls.assigned_to", "saved_filters.owner", "analysis_items.by",
        "scorecard_versions.by", "scorecard_reviews.reviewer", "scorecard_reviews.disputed_by", "scorecard_reviews.resolved_by", "label_instructions.by",
    },
    "digests and wrapped keys": {
        "layers.sha256", "audit_entries.digest", "audit_entries.previous", "destroyed_originals.sha256", "destroyed_originals.copy_sha256", "consent_sounds.sha256", "media_tokens.token_hash", "users.password_hash", "sessions.token_hash",
        "api_tokens.token_hash", "recovery_codes.code_hash", "welcome_tokens.token_hash", "carrier_deletions.sha256", "data_keys.wrapped",
    },
    "figures, codes and our own sentences": {
        "calls.reasons", "pauses.carrier_error", "consents.failure", "calls.comparisons", "measures.document", "streams.counts", "layers.archived", "recordings.failure",
        "api_tokens.scopes", "attempts.failed_ms", "turn_index.word_starts", "erasures.files", "erasures.recordings", "erasures.counts",
        "erasures.holds", "open_accesses.spans", "expired_data.counts", "expired_data.files",
        "webhook_endpoints.events", "webhook_endpoints.disabled_why", "webhook_deliveries.data", "webhook_deliveries.failure", "scorecard_reviews.answers", "scorecard_reviews.answers_before", "analyses.cost", "analyses.currency", "analyses.instructions", "analysis_items.citations",
    },
    "keyed search tokens": {"turn_index.tokens"},
}  # fmt: skip


def test_every_text_column_is_encrypted_or_listed_as_plain() -> None:
    """A new column that may hold what people say, dial or write needs a `Sealed` type."""
    holds_text = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, SealedText | SealedJson) is False
        and isinstance(column.type, Enumerated | UTCDateTime) is False
        and not column.foreign_keys
        and isinstance(getattr(column.type, "impl", column.type), String | JSON)
    }
    assert holds_text == set().union(*PLAIN.values())


def spoken(words: str, start_ms: int = 0) -> Turn:
    found = tuple(
        Word(word, start_ms + 100 * at, start_ms + 100 * at + 90) for at, word in enumerate(words.split())
    )
    return Turn(Role.AGENT, start_ms, start_ms + 5_000, words, 0.9, found)


SAID = ["Please read the left gauge twice", "The gauge on the left says zebrafish", "Gauges, plural"]


def put_call(database: Database, call_id: CallId = CALL, said: list[str] = SAID) -> None:
    a_call(database, id=call_id, leg_sid=f"CA{call_id}", remote_number="+14155550134")
    with database.write() as conn:
        turns = [spoken(words, 10_000 * at) for at, words in enumerate(said)]
        transcripts.put(conn, call_id, TranscriptKind.FINAL, "fake", "tiny", turns)


def found_by(database: Database, query: str) -> tuple[int, list[int]]:
    """How many calls a query finds, and the starts of the hits in the first one."""
    with database.read() as conn:
        rows = call_list.page(conn, CallFilter(parse(query)), 10)
        hits = search.hits_of(conn, [row.id for row in rows], parse(query))
    return len(rows), [hit.start_ms for hit in hits[rows[0].id].first] if rows and hits else []


QUERIES = {
    "gauge": (1, [400, 10_100]),
    "GAUGE": (1, [400, 10_100]),
    '"left gauge"': (1, [300]),
    '"gauge left"': (0, []),
    "gauge*": (1, [400, 10_100, 20_000]),
    "zebra*": (1, [10_600]),
    '"says zeb"*': (1, [10_500]),
    "left -zebrafish": (0, []),
    "left -zeppelin": (1, [300, 10_400]),
    '-"gauge left" plural': (1, [20_100]),
    "zebu*": (0, []),
}


@encrypted
@pytest.mark.parametrize("query", QUERIES)
def test_search_finds_the_same_as_without_encryption(database: Database, query: str) -> None:
    put_call(database)
    assert found_by(database, query) == QUERIES[query]


@encrypted
def test_prefix_of_two_letters_is_a_whole_word_with_encryption(database: Database) -> None:
    put_call(database)
    assert [found_by(database, query)[0] for query in ("g*", "ga*", '"left g"*', "on*", "gau*")] == [
        0,
        0,
        0,
        1,
        1,
    ]


@encrypted
def test_index_has_keyed_tokens_without_order(database: Database) -> None:
    put_call(database)
    with database.read() as conn:
        stored = str(conn.execute(select(type_coerce(turn_index.c.tokens, String)).limit(1)).scalar_one())
    listed = stored.replace("'", "").split()
    assert len(listed) == len(set(listed)) == 12  # six words and their beginnings
    assert listed == sorted(listed) and {len(token) for token in listed} == {16}
    assert not any(word in stored for word in ("gauge", "left", "please"))


@plain_then_encrypted
def test_search_can_be_switched_off(database: Database) -> None:
    keyring = keyring_of(database, MASTER)
    database.use_cipher(keyring.text_cipher(searchable=False))
    put_call(database)
    assert [found_by(database, query)[0] for query in ("gauge", "gau*", '"left gauge"', "")] == [0, 0, 0, 1]
    with database.read() as conn:
        assert set(conn.execute(select(type_coerce(turn_index.c.tokens, String))).scalars()) == {""}


@plain_then_encrypted
def test_rows_from_before_encryption_stay_readable_and_found(database: Database) -> None:
    put_call(database)
    with database.write() as conn:
        people.add(conn, "Zoë", "+14155550134", AT)
    keyring_of(database, MASTER)
    put_call(database, CallId("2" * 12))
    assert found_by(database, '"left gauge"') == (2, [300])
    assert found_by(database, "gauge*")[0] == found_by(database, "zebrafish")[0] == 2
    with database.read() as conn:
        for wanted in (CallFilter(number="0134"), CallFilter(number_name="zo")):
            assert len(call_list.page(conn, wanted, 10)) == 2
        assert people.names_of(conn, ["+14155550134"]) == {"+14155550134": "Zoë"}
        assert [number for number, _ in people.recent_numbers(conn, None, 5)] == ["+14155550134"]
        with pytest.raises(people.TakenError):
            people.add(conn, "Zoe", "+14155550134", AT)


@encrypted
def test_equal_numbers_are_equal_and_texts_are_not(database: Database) -> None:
    put_call(database)
    put_call(database, CallId("2" * 12))
    with database.read() as conn:
        numbers = set(conn.execute(select(type_coerce(calls.c.remote_number, String))).scalars())
        texts = list(conn.execute(select(type_coerce(turns.c.text, String))).scalars())
        assert len(numbers) == 1 and len(set(texts)) == len(texts) == 6
        assert conn.execute(select(calls.c.id).where(calls.c.remote_number == "+14155550134")).fetchall()


def test_no_plain_text_is_in_the_files_of_sqlite(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "app.db"))
    database.migrate()
    keyring_of(database, MASTER)
    put_call(database)
    with database.write() as conn:
        notes.add(conn, CALL, NoteKind.NOTE, 5, "ask for the xylophone", "ada", AT)
        facts.note(conn, "odd", {"From": "+14155550134"}, AT, CALL)
        people.add(conn, "Quentin", "+14155550134", AT)
    words = [b"gauge", b"zebrafish", b"xylophone", b"4155550134", b"Quentin"]
    assert (tmp_path / "app.db-wal").stat().st_size > 0
    assert files_with(tmp_path, words) == []
    database.close()
    assert files_with(tmp_path, words) == []


def stored_note(database: Database) -> str:
    with database.read() as conn:
        return conn.execute(select(type_coerce(note_table.c.text, String))).scalar_one()


@plain_then_encrypted
def test_missing_and_damaged_values_are_clear_errors(database: Database) -> None:
    keyring: Keyring = keyring_of(database, MASTER)
    put_call(database)
    with database.write() as conn:
        notes.add(conn, CALL, NoteKind.NOTE, 5, "secret", "ada", AT)
    sealed = stored_note(database)
    database.use_cipher(None)
    with pytest.raises(
        EncryptionKeyError, match="a value of notes.text is encrypted; set CALLREEL_ENCRYPTION_KEYS"
    ):
        with database.read() as conn:
            notes.of_call(conn, CALL)
    database.use_cipher(keyring.text_cipher())
    other_column = "UPDATE turns SET text = (SELECT text FROM notes)"
    with database.write() as conn:
        conn.execute(text(other_column))
    with pytest.raises(StoreError, match="an encrypted value of turns.text is damaged"):
        with database.read() as conn:
            transcripts.latest(conn, CALL, TranscriptKind.FINAL)
    with database.write() as conn:
        conn.execute(text("UPDATE notes SET text = :text"), {"text": sealed[:-6] + "AAAA=="})
    with pytest.raises(StoreError, match="an encrypted value of notes.text is damaged"):
        with database.read() as conn:
            notes.of_call(conn, CALL)


@plain_then_encrypted
@pytest.mark.parametrize("typed", ["enc1:1:AAAA", "enc2:x", "enc0:enc1:1:AAAA", "enc1:"])
def test_text_that_looks_encrypted_is_text(database: Database, typed: str) -> None:
    put_call(database)
    for _ in range(2):  # without and with encryption
        with database.write() as conn:
            row = notes.add(conn, CALL, NoteKind.NOTE, 5, typed, "ada", AT)
            assert row.text == typed
            conn.execute(update(technicians).values(name=typed))
        with database.read() as conn:
            assert {note.text for note in notes.of_call(conn, CALL)} == {typed}
        keyring_of(database, MASTER)
    with database.write() as conn:
        conn.execute(insert(technicians).values(name=typed, number=typed, created_at=AT))
        assert people.names_of(conn, [typed]) == {typed: typed}
