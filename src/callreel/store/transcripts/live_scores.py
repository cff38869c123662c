"""Quality of the live transcript, one row for each call: delivery of its words, and its errors against the final text."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from callreel.domain.ids import CallId
from callreel.store.db.dialect import insert
from callreel.store.db.tables import live_scores


@dataclass(frozen=True, slots=True)
class LiveScoreRow:
    """Counts of words. The first three are None if the counting process died, the others until there is a final text."""

    live_words: int | None
    late: int | None
    retracted: int | None
    words: int | None
    same: int | None
    replaced: int | None
    missing: int | None
    added: int | None


def put(conn: Connection, call_id: CallId, counts: dict[str, int]) -> None:
    """Save some of the counts, by the field names of `LiveScoreRow`; the others stay. Without any, do nothing."""
    if not counts:
        return
    statement = insert(conn.dialect.name, live_scores).values(call_id=call_id, **counts)
    conn.execute(statement.on_conflict_do_update(index_elements=["call_id"], set_=counts))


def of_call(conn: Connection, call_id: CallId) -> LiveScoreRow | None:
    query = select(live_scores).where(live_scores.c.call_id == call_id)
    row = conn.execute(query).mappings().first()
    return None if row is None else LiveScoreRow(**{name: row[name] for name in LiveScoreRow.__slots__})
