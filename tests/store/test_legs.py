from itertools import permutations

from callreel.domain.call import Role
from callreel.domain.ids import LegSid
from callreel.store.calls import legs
from callreel.store.calls.legs import LegRow
from callreel.store.db.database import Database
from tests.support.rows import CALL, CHILD, PARENT, a_call, after


def test_leg_callbacks_merge_in_any_order(database: Database) -> None:
    """A late `ringing` does not hide that the leg was answered and is over."""
    a_call(database)
    orders = list(permutations(range(3)))
    with database.write() as conn:
        for number, order in enumerate(orders):
            sid = LegSid(f"CA{number:032}")
            reports = [
                LegRow(sid, CALL.id, Role.TECHNICIAN, "ringing", parent_sid=PARENT),
                LegRow(sid, CALL.id, Role.TECHNICIAN, "in-progress", started_at=after(5)),
                LegRow(sid, CALL.id, Role.TECHNICIAN, "completed", ended_at=after(60), duration_s=55),
            ]
            for index in order:
                known = legs.upsert(conn, reports[index])
            assert known in legs.of_call(conn, CALL.id)
            assert known == LegRow(
                sid, CALL.id, Role.TECHNICIAN, "completed", PARENT, after(5), after(60), 55
            )


def test_unknown_carrier_status_is_stored(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        legs.upsert(conn, LegRow(CHILD, CALL.id, Role.TECHNICIAN, "ringing"))
        assert legs.upsert(conn, LegRow(CHILD, CALL.id, Role.TECHNICIAN, "levitating")).status == "levitating"


def test_parent_leg_comes_first(database: Database) -> None:
    a_call(database)
    child = LegRow(CHILD, CALL.id, Role.TECHNICIAN, "ringing", parent_sid=PARENT)
    parent = LegRow(LegSid("CAz"), CALL.id, Role.AGENT, "in-progress")
    with database.write() as conn:
        legs.upsert(conn, child)
        legs.upsert(conn, parent)
        assert legs.of_call(conn, CALL.id) == [parent, child]
