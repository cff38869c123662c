"""Sessions of people who signed in. Only hashes of their tokens are stored; the web package makes and hashes them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import sessions, users

MOST_SESSIONS = 50
"""Of a person. The one that was used least recently ends when another would be too many."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as its owner and administrators see it. `device` is what the browser says it is. `id_token` is the one with
    which the person signed in at a provider; it ends the session there, too.

    `second_factor_due`: the password was right and nothing else is allowed before a code. Only `find_due` finds those.
    """

    id: int
    user_id: int
    name: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    address: str
    device: str
    token_hash: str
    second_factor_due: bool
    id_token: str | None = field(repr=False)


def add(
    conn: Connection,
    token_hash: str,
    user_id: int,
    at: datetime,
    ttl_s: float,
    *,
    address: str = "",
    device: str = "",
    second_factor_due: bool = False,
) -> None:
    """Open a session until `at` + `ttl_s` seconds; delete expired ones, and all but the user's `MOST_SESSIONS` newest."""
    conn.execute(delete(sessions).where(sessions.c.expires_at <= at))
    kept = (
        select(sessions.c.id)
        .where(sessions.c.user_id == user_id)
        .order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc())
        .limit(MOST_SESSIONS - 1)
    )
    conn.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id.not_in(kept)))
    values = {
        "token_hash": token_hash, "user_id": user_id, "created_at": at, "last_seen_at": at,
        "expires_at": at + timedelta(seconds=ttl_s), "address": address, "device": device,
        "second_factor_due": second_factor_due,
    }  # fmt: skip
    conn.execute(insert(sessions).values(**values))


def find(conn: Connection, token_hash: str, at: datetime, idle_s: float | None = None) -> SessionRow | None:
    """A session that neither is expired nor was idle for `idle_s` seconds, of an account that is not disabled."""
    found = _rows(conn, sessions.c.token_hash == token_hash, *_open(at, idle_s))
    return found[0] if found else None


def find_due(conn: Connection, token_hash: str, at: datetime) -> SessionRow | None:
    """A sign-in that waits for its second factor."""
    found = _rows(conn, sessions.c.token_hash == token_hash, *_open(at, None, due=True))
    return found[0] if found else None


def all_open(
    conn: Connection, at: datetime, idle_s: float | None = None, user_id: int | None = None
) -> list[SessionRow]:
    """The sessions of a user, or of all; the one that was used last is first."""
    of_user = () if user_id is None else (sessions.c.user_id == user_id,)
    return _rows(conn, *_open(at, idle_s), *of_user)


def holds(conn: Connection, token_hash: str) -> bool:
    """Whether the session exists and is that of an account that is not disabled. Its end waits until this transaction ends."""
    mine = sessions.c.token_hash == token_hash, users.c.disabled.is_(False)
    query = select(sessions.c.id).join(users, users.c.id == sessions.c.user_id).where(*mine)
    return conn.execute(query.with_for_update(read=True, key_share=True)).first() is not None


def touch(conn: Connection, session_id: int, at: datetime) -> None:
    """Save the time of the last request."""
    conn.execute(update(sessions).where(sessions.c.id == session_id).values(last_seen_at=at))


def end(conn: Connection, session_id: int, user_id: int | None = None) -> int | None:
    """End a session, of this user if one is given; returns its owner's id, None if there is none."""
    ended = delete(sessions).where(sessions.c.id == session_id)
    if user_id is not None:
        ended = ended.where(sessions.c.user_id == user_id)
    return conn.execute(ended.returning(sessions.c.user_id)).scalar()


def keep_id_token(conn: Connection, token_hash: str, id_token: str) -> None:
    conn.execute(update(sessions).where(sessions.c.token_hash == token_hash).values(id_token=id_token))


def sign_out(conn: Connection, token_hash: str) -> str | None:
    """End a session; returns its ID token. An unknown token is ignored."""
    ended = delete(sessions).where(sessions.c.token_hash == token_hash).returning(sessions.c.id_token)
    return conn.execute(ended).scalar()


def end_all(conn: Connection, user_id: int) -> int:
    """Sign a person out everywhere; returns the number of ended sessions."""
    return conn.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def end_others(conn: Connection, user_id: int, token_hash: str) -> int:
    """Sign a person out everywhere but in the session of this token; returns the number of ended sessions."""
    others = (sessions.c.user_id == user_id, sessions.c.token_hash != token_hash)
    return conn.execute(delete(sessions).where(*others)).rowcount


def _open(at: datetime, idle_s: float | None, *, due: bool = False) -> list[ColumnElement[bool]]:
    idle = [] if idle_s is None else [sessions.c.last_seen_at > at - timedelta(seconds=idle_s)]
    valid = [sessions.c.expires_at > at, users.c.disabled.is_(False), *idle]
    return [sessions.c.second_factor_due.is_(due), *valid]


def _rows(conn: Connection, *wanted: ColumnElement[bool]) -> list[SessionRow]:
    query = select(sessions, users.c.name).join(users, users.c.id == sessions.c.user_id).where(*wanted)
    return fetch_all(conn, SessionRow, query.order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc()))
