"""The topics of calls as rows, one line each, with the kinds of their moments, and which calls wait for both.

A row is written when the searchable text of its call changes, without a topic at first, so that no topic has words that are
no longer shown. `version` counts these changes: a topic of an earlier text is not saved.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from callreel.domain.ids import CallId
from callreel.insight.moment_kind import MomentKind
from callreel.store.db.dialect import insert
from callreel.store.db.tables import call_moments, calls, topics


def set_due(conn: Connection, call_id: CallId) -> None:
    """Remove the topic and the kinds of a call whose text changed; it waits for new ones."""
    conn.execute(delete(call_moments).where(call_moments.c.call_id == call_id))
    changed = {"due": True, "text": None, "version": topics.c.version + 1}
    new = insert(conn.dialect.name, topics).values(call_id=call_id, due=True, version=1)
    conn.execute(new.on_conflict_do_update(index_elements=[topics.c.call_id], set_=changed))


def due(conn: Connection, limit: int, after: str = "") -> list[tuple[CallId, int]]:
    """Calls that wait for their topic, with the version of their text, in the order of ids from `after` on, without it."""
    waiting = topics.c.due, topics.c.call_id > after
    query = select(topics.c.call_id, topics.c.version).where(*waiting).order_by(topics.c.call_id)
    return [(CallId(row.call_id), row.version) for row in conn.execute(query.limit(limit))]


def put(
    conn: Connection, call_id: CallId, version: int, text: str | None, kinds: Collection[MomentKind] = ()
) -> bool:
    """Save a topic, None for a call without one, and the kinds of the call's moments.

    False, and nothing changes, if the text changed meanwhile, or another process saved them.
    """
    same = topics.c.call_id == call_id, topics.c.version == version, topics.c.due
    if not conn.execute(update(topics).where(*same).values(text=text, due=False)).rowcount:
        return False
    if kinds:
        conn.execute(
            insert(conn.dialect.name, call_moments), [{"call_id": call_id, "kind": kind} for kind in kinds]
        )
    return True


def has_moment(kind: MomentKind) -> ColumnElement[bool]:
    """Whether a call of `calls` has such a moment; row by row, since most calls may have one of the common kinds."""
    return exists().where(call_moments.c.kind == kind, call_moments.c.call_id == calls.c.id)


def of_calls(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, str]:
    """The topics of those of these calls that have one."""
    query = select(topics.c.call_id, topics.c.text)
    query = query.where(topics.c.call_id.in_(list(call_ids)), topics.c.text.is_not(None))
    return {CallId(row.call_id): row.text for row in conn.execute(query)}
