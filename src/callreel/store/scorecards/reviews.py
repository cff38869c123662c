"""Reviews of calls with scorecards, as rows."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from callreel.domain.ids import CallId
from callreel.scoring.dispute import ReviewState
from callreel.scoring.score import Answer, Remark
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import calls, scorecard_reviews, users


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """`revision` counts the saves of a draft; `answers_before` are those that a supervisor changed after a dispute."""

    id: int
    call_id: CallId
    scorecard_id: int
    version: int
    reviewer: str
    state: ReviewState = ReviewState.DRAFT
    revision: int = 0
    answers: tuple[Answer, ...] = ()
    remarks: tuple[Remark, ...] = field(default=(), repr=False)
    finished_at: datetime | None = None
    dispute: str = field(default="", repr=False)
    disputed_by: str = ""
    disputed_at: datetime | None = None
    resolution: str = field(default="", repr=False)
    resolved_by: str = ""
    resolved_at: datetime | None = None
    answers_before: tuple[Answer, ...] | None = None


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """The figures of a finished review, with agent and start of its call."""

    call_id: CallId
    agent: str
    created_at: datetime
    scorecard_id: int
    version: int
    reviewer: str
    state: ReviewState
    answers: tuple[Answer, ...]


def add(conn: Connection, call_id: CallId, scorecard_id: int, version: int, reviewer: str) -> ReviewRow:
    """A new draft. The call, the scorecard and the reviewer have none yet."""
    row = ReviewRow(0, call_id, scorecard_id, version, reviewer)
    values = {name: getattr(row, name) for name in ReviewRow.__dataclass_fields__ if name != "id"}
    added = insert(scorecard_reviews).values(values).returning(scorecard_reviews)
    return fetch_all(conn, ReviewRow, added)[0]


def put(conn: Connection, row: ReviewRow) -> None:
    """Save an existing review."""
    values = {name: getattr(row, name) for name in ReviewRow.__dataclass_fields__ if name != "id"}
    conn.execute(update(scorecard_reviews).where(scorecard_reviews.c.id == row.id).values(values))


def remove(conn: Connection, review_id: int) -> None:
    conn.execute(delete(scorecard_reviews).where(scorecard_reviews.c.id == review_id))


def get(conn: Connection, call_id: CallId, review_id: int) -> ReviewRow | None:
    """None also for a review of another call."""
    table = scorecard_reviews.c
    query = select(scorecard_reviews).where(table.id == review_id, table.call_id == call_id)
    return fetch_one(conn, ReviewRow, query)


def of_call(conn: Connection, call_id: CallId) -> list[ReviewRow]:
    """All reviews of a call, drafts too, oldest first."""
    query = select(scorecard_reviews).where(scorecard_reviews.c.call_id == call_id)
    return fetch_all(conn, ReviewRow, query.order_by(scorecard_reviews.c.id))


def disputed(conn: Connection, limit: int) -> list[ReviewRow]:
    """Up to `limit` reviews whose dispute is open, the oldest dispute first."""
    table = scorecard_reviews.c
    query = select(scorecard_reviews).where(table.state == ReviewState.DISPUTED)
    return fetch_all(conn, ReviewRow, query.order_by(table.disputed_at, table.id).limit(limit))


def finished(
    conn: Connection,
    first: datetime,
    before: datetime,
    limit: int,
    *,
    scorecard_id: int | None = None,
    agent: str | None = None,
) -> list[FinishedRow]:
    """Up to `limit` finished reviews of the calls that began from `first` and before `before`, oldest call first.

    Without those that people wrote of their own calls.
    """
    table = scorecard_reviews.c
    query = (
        select(
            table.call_id, calls.c.agent, calls.c.created_at,
            table.scorecard_id, table.version, table.reviewer, table.state, table.answers,
        )
        .join(calls, calls.c.id == table.call_id)
        .outerjoin(users, users.c.name == table.reviewer)
        .where(or_(users.c.identity.is_(None), users.c.identity != calls.c.agent))
        .where(table.finished_at.is_not(None), calls.c.created_at >= first, calls.c.created_at < before)
        .order_by(calls.c.created_at, table.id)
        .limit(limit)
    )  # fmt: skip
    if scorecard_id is not None:
        query = query.where(table.scorecard_id == scorecard_id)
    if agent is not None:
        query = query.where(calls.c.agent == agent)
    return fetch_all(conn, FinishedRow, query)


def blank_texts(conn: Connection, call_id: CallId) -> int:
    """Delete what people wrote in the reviews of a call, and its drafts; points stay. Returns how many rows changed."""
    mine = scorecard_reviews.c.call_id == call_id
    drafts = delete(scorecard_reviews).where(mine, scorecard_reviews.c.state == ReviewState.DRAFT)
    gone = conn.execute(drafts).rowcount
    blank = update(scorecard_reviews).where(mine).values(remarks=(), dispute="", resolution="")
    return int(gone + conn.execute(blank).rowcount)


def count(conn: Connection, call_id: CallId) -> int:
    mine = scorecard_reviews.c.call_id == call_id
    return int(conn.execute(select(func.count()).select_from(scorecard_reviews).where(mine)).scalar_one())
