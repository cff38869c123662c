"""Values that a carrier or a client may send and a database refuses, on both databases."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.note import NoteKind
from callreel.domain.recording import CloudState
from callreel.store.calls import call_list, callbacks, calls, facts, legs, notes, recordings
from callreel.store.calls.call_list import CallFilter
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.people import technicians, users
from callreel.store.transcripts import vocabulary
from tests.support.rows import CALL, NOON, a_call

HUGE = 10**22
SID = RecordingSid("RE" + "1" * 32)

texts = pytest.mark.parametrize(
    ("given", "stored"),
    [
        pytest.param("a\0b", "ab", id="NUL"),
        pytest.param("a\ud83d", "a", id="lone surrogate"),
        pytest.param("\x1b[31mred\x7f\x9b", "[31mred", id="control characters"),
        pytest.param("tab\tand\r\nline 😀 é \\u0000", "tab\tand\r\nline 😀 é \\u0000", id="ordinary"),
    ],
)


@texts
def test_text_is_stored_without_what_a_database_refuses(database: Database, given: str, stored: str) -> None:
    call = a_call(database)
    with database.write() as conn:
        note = notes.add(conn, call.id, NoteKind.NOTE, 1, given, given, NOON)
        vocabulary.replace(conn, [given, stored, "\0"], given, NOON)
        technicians.add(conn, given, "+15550100200", NOON)
        assert (note.text, note.by) == (stored, stored)
        assert [row.phrase for row in vocabulary.all_phrases(conn)] == [stored]
        assert [row.name for row in technicians.all_technicians(conn)] == [stored]


@texts
def test_json_is_stored_without_what_a_database_refuses(database: Database, given: str, stored: str) -> None:
    call = a_call(database)
    form: dict[str, Json] = {given: given, "list": [given, 1.5, math.nan, math.inf, None]}
    with database.write() as conn:
        assert callbacks.insert(conn, "call", given, form, NOON)
        assert not callbacks.insert(conn, "call", given, form, NOON)
        facts.note(conn, "odd", form, NOON, call.id, LegSid(given))
        (fact,) = facts.of_call(conn, call.id)
    assert fact.data == {stored: stored, "list": [stored, 1.5, None, None, None]}


@texts
def test_lookups_accept_any_text(database: Database, given: str, stored: str) -> None:
    a_call(database)
    with database.read() as conn:
        assert calls.get(conn, CallId(given)) is None
        assert calls.by_leg(conn, LegSid(given)) is None
        assert users.get_by_name(conn, given) is None
        assert call_list.page(conn, CallFilter(number=given, agent=given, number_name=given), 10) == []


def test_numbers_saturate_at_the_width_of_their_column(database: Database) -> None:
    call = a_call(database)
    with database.write() as conn:
        assert notes.get(conn, call.id, HUGE) is None
        assert technicians.change(conn, HUGE, name="x") is None and not technicians.remove(conn, -HUGE)
        assert users.get(conn, HUGE) is None
        recordings.upsert(
            conn,
            RecordingRow(SID, CALL.id, CALL.leg_sid, CloudState.ABSENT, NOON, error_code=int("9" * 19)),
        )
        row = recordings.get(conn, SID)
        assert row is not None and row.error_code == (1 << 31) - 1


@pytest.mark.parametrize(
    "moment",
    [
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=23, minutes=59))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59))),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
    ids=["latest", "earliest", "max", "min"],
)
def test_times_saturate_within_the_calendar(database: Database, moment: datetime) -> None:
    a_call(database)
    expected = datetime(9999, 12, 30, tzinfo=UTC) if moment.year == 9999 else datetime(1, 1, 2, tzinfo=UTC)
    with database.write() as conn:
        found = call_list.page(conn, CallFilter(since=moment), 10)
        assert [row.id for row in found] == ([] if moment.year == 9999 else [CALL.id])
        legs.upsert(conn, legs.LegRow(CALL.leg_sid, CALL.id, CALL.inbound_role, "completed", ended_at=moment))
        assert legs.of_call(conn, CALL.id)[0].ended_at == expected
