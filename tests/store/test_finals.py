from callreel.domain.call import Role
from callreel.domain.transcript import Final, Segment, Word
from callreel.store.db.database import Database
from callreel.store.transcripts import finals
from tests.support.rows import CALL, a_call

FIRST = Final(Segment(Role.AGENT, 0, 100, 900), (Word("hello", 100, 500, 0.5), Word("there", 500, 900)))
OTHER = Final(Segment(Role.TECHNICIAN, 0, 50, 80), (), failed=True)


def test_finals_are_read_in_the_order_of_speech(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert finals.put(conn, CALL.id, FIRST)
        assert finals.put(conn, CALL.id, OTHER)
        assert finals.of_call(conn, CALL.id) == [OTHER, FIRST]


def test_second_final_of_a_segment_is_ignored(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert finals.put(conn, CALL.id, FIRST)
        assert not finals.put(conn, CALL.id, Final(FIRST.segment, (Word("hallo", 100, 900),)))
        assert finals.of_call(conn, CALL.id) == [FIRST]
