from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from callreel.domain.call import Role
from callreel.domain.cost import TranscribedAudio
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.db.tables import turns as turn_table
from callreel.store.transcripts import transcripts
from callreel.store.transcripts.transcripts import Provenance, TranscriptRow
from tests.support.rows import CALL, a_call, final_revisions

FINAL = TranscriptKind.FINAL
HELLO = Turn(
    Role.AGENT, 0, 900, "hello there", 0.75, (Word("hello", 0, 400, 0.5), Word("there", 450, 900, 1.0))
)
YES = Turn(Role.TECHNICIAN, 1000, 1500, "yes", None, (Word("yes", 1000, 1500),))


def newest(database: Database, kind: TranscriptKind = FINAL) -> TranscriptRow:
    with database.read() as conn:
        found = transcripts.latest(conn, CALL.id, kind)
    assert found is not None
    return found


def test_transcript_is_read_with_turns_and_words(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        row_id = transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-us", [HELLO, YES])
        assert transcripts.latest(conn, CALL.id, TranscriptKind.LIVE) is None
    found = newest(database)
    assert (found.id, found.engine, found.model, found.revision) == (row_id, "sphinx", "en-us", 1)
    assert found.turns == (HELLO, YES)
    assert "hello" not in repr(found)


def test_same_engine_replaces_its_own_transcript(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        first = transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-us", [HELLO, YES])
        assert transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-gb", [YES]) == first
        assert conn.execute(select(func.count()).select_from(turn_table)).scalar_one() == 1
    assert (newest(database).turns, newest(database).model, newest(database).revision) == ((YES,), "en-gb", 1)


def test_other_engine_makes_a_new_revision(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-us", [HELLO])
        transcripts.put(conn, CALL.id, TranscriptKind.LIVE, "sphinx", "en-us", [])
        transcripts.put(conn, CALL.id, FINAL, "whisper", "small", [YES])
        transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-us", [HELLO, YES])
    assert (newest(database).engine, newest(database).revision) == ("whisper", 2)
    live = newest(database, TranscriptKind.LIVE)
    assert (live.revision, live.turns) == (1, ())


def test_transcript_without_a_call_raises(database: Database) -> None:
    with pytest.raises(LookupError, match="no call nowhere"), database.write() as conn:
        transcripts.put(conn, CallId("nowhere"), FINAL, "sphinx", "en-us", [HELLO])


times = st.integers(0, 2**31 - 1)
chances = st.none() | st.floats(0, 1)
# PostgreSQL keeps no NUL in text, and no engine returns one.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
some_words = st.lists(st.builds(Word, texts, times, times, chances), max_size=4).map(tuple)
some_turns = st.lists(
    st.builds(Turn, st.sampled_from(Role), times, times, texts, chances, some_words), max_size=5
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(some_turns)
def test_any_turns_are_read_as_written(database: Database, turns: list[Turn]) -> None:
    with database.write() as conn:
        calls.insert(conn, CALL)
        transcripts.put(conn, CALL.id, FINAL, "any", "any", turns)
    assert newest(database).turns == tuple(turns)


def test_other_run_of_an_engine_makes_a_new_revision(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        transcripts.put(conn, CALL.id, FINAL, "sphinx", "en-us", [HELLO])
        for _ in range(2):
            transcripts.put(conn, CALL.id, FINAL, "sphinx", "better", [YES], Provenance("run-1", "asked for"))
        runs = final_revisions(conn, CALL.id)
    assert runs == [("", 1), ("run-1", 2)]
    found = newest(database)
    assert (found.model, found.reason, found.turns) == ("better", "asked for", (YES,))


def test_billed_audio_is_listed_by_call(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        transcripts.put(conn, CALL.id, FINAL, "sphinx", "", [HELLO], Provenance(audio_ms=5000))
        transcripts.put(
            conn, CALL.id, FINAL, "openai", "", [HELLO], Provenance(audio_ms=5000, price_per_minute=0.006)
        )
        billed = transcripts.billed_audio(conn, [CALL.id, CallId("ffffffffffff")])
    assert billed == {CALL.id: [TranscribedAudio("openai", 5000, Decimal("0.006"))]}
