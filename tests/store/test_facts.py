from callreel.domain.ids import LegSid
from callreel.store.calls import facts
from callreel.store.db.database import Database
from tests.support.rows import CALL, NOON, PARENT, a_call, after


def test_facts_with_and_without_a_call(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        facts.note(
            conn, "unknown_event", {"event": "hologram", "deep": [1, {"x": None}]}, NOON, CALL.id, PARENT
        )
        facts.note(conn, "stray", {}, NOON, leg_sid=LegSid("CAstray"))
        facts.note(conn, "violation", {"what": "media before start"}, after(1), CALL.id)
        found = facts.of_call(conn, CALL.id)
    assert [(fact.kind, fact.at, fact.leg_sid) for fact in found] == [
        ("unknown_event", NOON, PARENT),
        ("violation", after(1), None),
    ]
    assert found[0].data == {"event": "hologram", "deep": [1, {"x": None}]}
