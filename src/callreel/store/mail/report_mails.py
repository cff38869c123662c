"""The mail of each week's report: one row for each recipient, written before anything is sent.

A row is claimed in one statement before the text goes out, so that no two processes send the same mail.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from callreel.domain.mail import MailState
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import report_mails as table


@dataclass(frozen=True, slots=True)
class MailRow:
    """`week` looks like 2026-W48. `failure` is the last error in one line, empty without one; `at` is when `state` or `failure` was noted."""

    week: str
    recipient: str
    state: MailState
    at: datetime
    failure: str


def put(conn: Connection, week: str, recipients: Iterable[str], at: datetime) -> None:
    """Add pending mails to those of these recipients that have none for `week`."""
    for recipient in recipients:
        row = {"week": week, "recipient": recipient, "state": MailState.PENDING, "at": at, "failure": ""}
        insert_new(conn, table, row)


def of_week(conn: Connection, week: str) -> list[MailRow]:
    return fetch_all(conn, MailRow, select(table).where(table.c.week == week).order_by(table.c.recipient))


def latest(conn: Connection) -> list[MailRow]:
    """The mails of the latest week that has some."""
    last = select(func.max(table.c.week)).scalar_subquery()
    return fetch_all(conn, MailRow, select(table).where(table.c.week == last).order_by(table.c.recipient))


def claim(conn: Connection, mail: MailRow, at: datetime) -> bool:
    """Note that the mail is being sent; False if its row changed since it was read."""
    query = update(table).where(_of(mail), table.c.state == mail.state, table.c.at == mail.at)
    return conn.execute(query.values(state=MailState.SENDING, at=at, failure="")).rowcount == 1


def note(
    conn: Connection,
    mail: MailRow,
    state: MailState,
    at: datetime,
    failure: str = "",
    *,
    of: Collection[MailState] = tuple(MailState),
) -> bool:
    """Change the state of a mail that is in one of the states `of`; returns whether it was."""
    query = update(table).where(_of(mail), table.c.state.in_(of))
    return conn.execute(query.values(state=state, at=at, failure=failure)).rowcount == 1


def _of(mail: MailRow) -> ColumnElement[bool]:
    return and_(table.c.week == mail.week, table.c.recipient == mail.recipient)
