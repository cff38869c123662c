"""Analyses of calls by a language model as rows: one for each run, and its items with what people made of them.

The text of a revision is not shown once words were redacted after it, or while the roles are displayed otherwise than to the
model; what people wrote is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind
from callreel.insight.analysis import Content, FoundItem, Item, ItemState
from callreel.insight.instructions import UsedInstructions
from callreel.store.db.rows import fetch_all, fetch_one, values_of
from callreel.store.db.tables import analyses, analysis_items, calls, transcripts


@dataclass(frozen=True, slots=True)
class AnalysisRow:
    """One run, which `run` names. `number` counts from 1 within the call, `prompt` is the template, `instructions` are
    those of the call's labels that were sent with it, `dropped` the number of items that failed a check.

    Tokens are None if the server did not count them. `cost` is a decimal number in `currency`; None without prices.
    """

    call_id: CallId
    run: str
    at: datetime
    server: str
    model: str
    prompt: str
    requests: int
    duration_ms: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: str | None
    currency: str | None
    dropped: int
    roles_swapped: bool
    redacted: bool = False
    number: int = 0
    instructions: tuple[UsedInstructions, ...] = ()


_USABLE = exists().where(
    analyses.c.call_id == calls.c.id,
    analyses.c.redacted.is_(False),
    analyses.c.roles_swapped == calls.c.roles_swapped,
)
_ITEM = [analysis_items.c[field.name] for field in fields(Item)]


def add(conn: Connection, row: AnalysisRow, found: Iterable[FoundItem]) -> int:
    """Save a run as the call's newest revision; returns its number. The call must be locked."""
    newest = select(func.max(analyses.c.number)).where(analyses.c.call_id == row.call_id)
    number = (conn.execute(newest).scalar() or 0) + 1
    conn.execute(insert(analyses).values(values_of(analyses, replace(row, number=number))))
    items = [
        {
            "call_id": row.call_id, "number": number, "kind": item.kind, "made": item.content, "written": None,
            "citations": item.citations, "label_id": item.label_id, "state": ItemState.SUGGESTED, "by": None, "at": None,
        }
        for item in found
    ]  # fmt: skip
    if items:
        conn.execute(insert(analysis_items), items)
    return number


def has_run(conn: Connection, call_id: CallId, run: str) -> bool:
    """Whether this run of the call is saved."""
    mine = analyses.c.call_id == call_id, analyses.c.run == run
    return conn.execute(select(analyses.c.number).where(*mine)).first() is not None


def of_call(conn: Connection, call_id: CallId) -> list[AnalysisRow]:
    """Newest first."""
    query = select(analyses).where(analyses.c.call_id == call_id).order_by(analyses.c.number.desc())
    return fetch_all(conn, AnalysisRow, query)


def items_of(conn: Connection, call_id: CallId) -> list[Item]:
    """The items of all revisions, in their order, with the text of the model."""
    mine = analysis_items.c.call_id == call_id
    return fetch_all(conn, Item, select(*_ITEM).where(mine).order_by(analysis_items.c.id))


def get(conn: Connection, call_id: CallId, item_id: int) -> Item | None:
    """None also for an item of another call."""
    mine = analysis_items.c.id == item_id, analysis_items.c.call_id == call_id
    return fetch_one(conn, Item, select(*_ITEM).where(*mine))


def decide(
    conn: Connection, item_id: int, state: ItemState, written: Content | None, by: str, at: datetime
) -> None:
    """Save a person's decision; `written` None keeps the text as it is."""
    values = {"state": state, "by": by, "at": at} | ({"written": written} if written else {})
    conn.execute(update(analysis_items).where(analysis_items.c.id == item_id).values(**values))


def shown(rows: Sequence[AnalysisRow], items: Iterable[Item], *, roles_swapped: bool) -> list[Item]:
    """The items without the model's text of revisions that may not be shown; `roles_swapped` as the call is displayed."""
    allowed = {row.number for row in rows if not row.redacted and row.roles_swapped == roles_swapped}
    return [item if item.number in allowed else replace(item, made=None) for item in items]


def set_redacted(conn: Connection, call_id: CallId) -> None:
    """Show the model's text no more: words of the call were redacted after it was made."""
    conn.execute(update(analyses).where(analyses.c.call_id == call_id).values(redacted=True))


def overwrite(conn: Connection, call_id: CallId) -> None:
    """Delete the model's text of revisions that were made before words were redacted; what people wrote stays."""
    before = select(analyses.c.number).where(analyses.c.call_id == call_id, analyses.c.redacted)
    mine = analysis_items.c.call_id == call_id, analysis_items.c.number.in_(before)
    conn.execute(delete(analysis_items).where(*mine, analysis_items.c.written.is_(None)))
    conn.execute(update(analysis_items).where(*mine).values(made=None))


def usable(conn: Connection, call_id: CallId) -> bool:
    """Whether the call has an analysis whose text may be shown."""
    return conn.execute(select(calls.c.id).where(calls.c.id == call_id, _USABLE)).first() is not None


def unanalysed(conn: Connection, *, again: bool = False, redacted: bool = False) -> list[CallId]:
    """Closed calls with a final transcript that have no analysis that may be shown; with `again` all. Oldest first.

    With `redacted` only those that were redacted.
    """
    made = exists().where(transcripts.c.call_id == calls.c.id, transcripts.c.kind == TranscriptKind.FINAL)
    query = select(calls.c.id).where(
        calls.c.state == CallState.CLOSED, calls.c.redaction_awaited.is_(False), made
    )
    if not again:
        query = query.where(~_USABLE)
    if redacted:
        query = query.where(calls.c.redacted_at.is_not(None))
    return [CallId(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id)).scalars()]
