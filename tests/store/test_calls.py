from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import CallState, Role, Topology
from callreel.domain.ids import CallId, LegSid
from callreel.domain.verdict import Comparison, Reason, Verdict
from callreel.store.calls import call_list, calls, legs
from callreel.store.calls.call_list import CallFilter, Position
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.db.database import Database
from callreel.store.db.types import UTCDateTime
from tests.support.rows import CALL, CHILD, NOON, PARENT, a_call, after, all_calls


def test_call_is_read_as_written(database: Database) -> None:
    row = replace(
        CALL,
        state=CallState.CLOSED,
        answered_at=after(3.25),
        ended_at=after(60),
        closed_at=after(70),
        verdict=Verdict.EXPLAINED,
        reasons=(
            Reason("late_stream", "the stream began 300 ms late", Role.AGENT),
            Reason("other", "of no role"),
        ),
        comparisons=(Comparison(Role.TECHNICIAN, 59_000, 60_000, 12.5, -0.4, 0.993, 120),),
        demo=True,
    )
    with database.write() as conn:
        assert calls.insert(conn, row)
        assert calls.get(conn, row.id) == row
        assert calls.get(conn, CallId("none")) is None
    assert row.topology == Topology(inbound=Role.AGENT)


def test_repeated_voice_request_creates_no_second_call(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert not calls.insert(conn, replace(CALL, id=CallId("another")))
        assert not calls.insert(conn, replace(CALL, leg_sid=LegSid("CAanother")))
        assert all_calls(conn) == [CALL]


def test_repr_hides_the_phone_number() -> None:
    assert CALL.remote_number not in repr(CALL)


def test_call_is_found_by_any_leg(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        legs.upsert(conn, LegRow(CHILD, CALL.id, Role.TECHNICIAN, "ringing", parent_sid=PARENT))
        assert calls.by_leg(conn, PARENT) == CALL
        assert calls.by_leg(conn, CHILD) == CALL
        assert calls.by_leg(conn, LegSid("CAunknown")) is None


def test_paging_returns_each_call_once_also_within_an_instant(database: Database) -> None:
    """Three calls begin in one instant, and pages of two end among them."""
    rows = [
        a_call(database, id=CallId(f"{n:012}"), leg_sid=LegSid(f"CA{n:032}"), created_at=after(second))
        for n, second in enumerate((0, 1, 1, 1, 2))
    ]
    found: list[CallRow] = []
    with database.read() as conn:
        while page := call_list.page(
            conn, CallFilter(), limit=2, before=Position.of(found[-1]) if found else None
        ):
            found += page
        assert found == rows[::-1]
        assert call_list.page(conn, CallFilter(), limit=9, before=Position(after(1))) == [rows[0]]


def test_only_the_first_answer_counts(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert calls.set_answered(conn, CALL.id, after(5))
        assert not calls.set_answered(conn, CALL.id, after(6))
        assert calls.get(conn, CALL.id) == replace(CALL, answered_at=after(5))


def test_first_end_time_stays(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert calls.set_state(conn, CALL.id, CallState.ENDED, after(60))
        assert not calls.set_state(conn, CALL.id, CallState.ENDED, after(61))
        assert calls.set_state(conn, CALL.id, CallState.CLOSED, after(70))
        assert calls.get(conn, CALL.id) == replace(
            CALL, state=CallState.CLOSED, ended_at=after(60), closed_at=after(70)
        )
        assert calls.in_state(conn, CallState.LIVE) == []
        assert [row.id for row in calls.in_state(conn, CallState.CLOSED)] == [CALL.id]


def test_call_state_never_moves_back(database: Database) -> None:
    order = list(CallState)
    for n, (known, reported) in enumerate((known, reported) for known in order for reported in order):
        row = a_call(database, id=CallId(f"{n:012}"), leg_sid=LegSid(f"CA{n:032}"), state=known)
        with database.write() as conn:
            assert calls.set_state(conn, row.id, reported, NOON) == (
                order.index(reported) > order.index(known)
            )
            changed = calls.get(conn, row.id)
        assert changed is not None
        assert changed.state is max(known, reported, key=order.index)


def test_newer_verdict_replaces_the_older(database: Database) -> None:
    a_call(database)
    silent = Comparison(Role.AGENT, 10, 10, 0.0, 0.0, None, 0, silent=True)
    with database.write() as conn:
        calls.set_verdict(conn, CALL.id, Verdict.SUSPECT, [Reason("gap", "2 s missing", Role.AGENT)], [])
        calls.set_verdict(conn, CALL.id, Verdict.VERIFIED, [], [silent])
        found = calls.get(conn, CALL.id)
    assert found == replace(CALL, verdict=Verdict.VERIFIED, comparisons=(silent,))


@given(
    st.datetimes(), st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
def test_times_are_stored_as_utc(naive: datetime, zone: timezone) -> None:
    from sqlalchemy.dialects.sqlite import dialect

    if not datetime.min + timedelta(days=1) < naive < datetime.max - timedelta(days=1):
        return
    column = UTCDateTime()
    aware = naive.replace(tzinfo=zone)
    stored = column.process_bind_param(aware, dialect())
    assert stored is not None
    found = column.process_result_value(stored.replace(tzinfo=None), dialect())
    assert found == aware
    assert found is not None and found.utcoffset() == timedelta(0)


def test_naive_time_raises(database: Database) -> None:
    with pytest.raises(Exception, match="expected an aware datetime"):
        a_call(database, created_at=datetime(2026, 11, 22))
