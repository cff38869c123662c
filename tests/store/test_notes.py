from callreel.domain.ids import CallId, LegSid
from callreel.domain.note import NoteKind
from callreel.store.calls import notes
from callreel.store.db.database import Database
from tests.support.rows import CALL, NOON, a_call


def test_notes_are_sorted_by_position(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        late = notes.add(conn, CALL.id, NoteKind.NOTE, 9000, "the photo", "ada", NOON)
        early = notes.add(conn, CALL.id, NoteKind.MARK, 100, "", "ben", NOON)
        assert notes.of_call(conn, CALL.id) == [early, late]
        assert notes.counts(conn, [CALL.id, CallId("another")]) == {CALL.id: 2}
        notes.change(conn, late.id, 50, "a photo")
        assert [note.text for note in notes.of_call(conn, CALL.id)] == ["a photo", ""]
        notes.remove(conn, early.id)
        assert notes.get(conn, CALL.id, early.id) is None
    assert "photo" not in repr(late)


def test_note_belongs_to_one_call_and_ids_are_never_reused(database: Database) -> None:
    a_call(database)
    other = a_call(database, id=CallId("another"), leg_sid=LegSid("CAanother"))
    with database.write() as conn:
        note = notes.add(conn, CALL.id, NoteKind.MARK, 1, "", "ada", NOON)
        assert notes.get(conn, other.id, note.id) is None
        notes.remove(conn, note.id)
        assert notes.add(conn, other.id, NoteKind.MARK, 1, "", "ada", NOON).id > note.id
