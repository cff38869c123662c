"""Measures as rows, on both databases: saved again, with swapped roles, and the calls that have none yet."""

from sqlalchemy import update

from callreel.domain.call import CallState, Role
from callreel.domain.ids import CallId, LegSid
from callreel.domain.measures import DEFINITIONS, CallMeasures, CallSpeech, Span, measure
from callreel.store.calls import calls, measures
from callreel.store.db.database import Database
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import measures as table
from tests.support.rows import CALL, NOON, a_call

SPOKEN = {Role.AGENT: [Span(0, 3_000), Span(8_000, 9_000)], Role.TECHNICIAN: [Span(2_000, 4_000)]}


def measured(words: int = 9) -> CallMeasures:
    captured = CallSpeech(SPOKEN, 0, 20_000, words={Role.AGENT: words}, ringing_ms=7_000)
    return measure(captured, silence_limit_ms=4_000)


def test_measures_are_replaced_and_deleted_with_their_call(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert measures.of_call(conn, CALL.id) is None and measures.heads(conn, [CALL.id]) == {}
        measures.put(conn, CALL.id, NOON, measured())
        measures.put(conn, CALL.id, NOON, measured(words=12))
        assert measures.of_call(conn, CALL.id) == measured(words=12)
        head = measures.heads(conn, [CALL.id])[CALL.id]
        assert (head.agent_talk_ms, head.technician_talk_ms, head.ringing_ms) == (4_000, 2_000, 7_000)
        assert (head.silences, head.silence_ms, head.interruptions, head.agent_interruptions) == (
            2,
            15_000,
            1,
            0,
        )
        conn.execute(call_table.delete())
        assert measures.of_call(conn, CALL.id) is None


def test_swapped_roles_swap_the_measures(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        measures.put(conn, CALL.id, NOON, measured())
        assert calls.set_roles_swapped(conn, CALL.id, True)
        assert measures.of_call(conn, CALL.id) == measured().swapped
        head = measures.heads(conn, [CALL.id])[CALL.id]
        assert (head.agent_talk_ms, head.agent_interruptions) == (2_000, 1)
        assert not calls.set_roles_swapped(conn, CALL.id, True)
        assert calls.set_roles_swapped(conn, CALL.id, False)
        assert measures.of_call(conn, CALL.id) == measured()


def test_closed_calls_without_measures_of_these_definitions(database: Database) -> None:
    ids = [CallId(name) for name in ("live", "new", "old", "done")]
    for call_id in ids:
        a_call(database, id=call_id, leg_sid=LegSid(f"CA{call_id}"))
    with database.write() as conn:
        for call_id in ids[1:]:
            calls.set_state(conn, call_id, CallState.CLOSED, NOON)
        for call_id in ids[2:]:
            measures.put(conn, call_id, NOON, measured())
        old = update(table).where(table.c.call_id == "old")
        conn.execute(old.values(definitions=DEFINITIONS - 1))
        assert set(measures.unmeasured(conn)) == {"new", "old"}
        assert set(measures.unmeasured(conn, again=True)) == {"new", "old", "done"}
