"""Rows that tests start from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from callreel.domain.call import Direction, Role
from callreel.domain.ids import CallId, LegSid
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PARENT = LegSid("CA" + "a" * 32)
CHILD = LegSid("CA" + "b" * 32)
CALL = CallRow(
    id=CallId("0123456789ab"),
    direction=Direction.OUTGOING,
    agent="ada",
    remote_number="+15550100123",
    leg_sid=PARENT,
    inbound_role=Role.AGENT,
    created_at=NOON,
)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_call(database: Database, **changes: Any) -> CallRow:
    """A call that is in the database."""
    row = replace(CALL, **changes)
    with database.write() as conn:
        assert calls.insert(conn, row)
    return row
