"""People who sign in, and their sessions. Hashing passwords and tokens is the web's; only hashes come here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select

from callreel.domain.errors import StoreError
from callreel.store.dialect import insert_new
from callreel.store.tables import sessions, users


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person. `role` is what they may do, in the web's words."""

    id: int
    name: str
    password_hash: str = field(repr=False)
    role: str
    created_at: datetime
    disabled: bool


def add(conn: Connection, name: str, password_hash: str, role: str, at: datetime) -> UserRow:
    """A new person. Raises StoreError if the name is taken."""
    values = {"name": name, "password_hash": password_hash, "role": role, "created_at": at, "disabled": False}
    if not insert_new(conn, users, values):
        raise StoreError(f"the user name {name!r} is taken")
    return UserRow(**conn.execute(select(users).where(users.c.name == name)).one()._asdict())


def get_by_name(conn: Connection, name: str) -> UserRow | None:
    """Disabled people too: the caller decides what to tell them."""
    found = conn.execute(select(users).where(users.c.name == name)).first()
    return None if found is None else UserRow(**found._asdict())


def everyone(conn: Connection) -> list[UserRow]:
    """By name, disabled people too."""
    return [UserRow(**found._asdict()) for found in conn.execute(select(users).order_by(users.c.name))]


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(users)).scalar_one()


def open_session(conn: Connection, token_hash: str, user_id: int, at: datetime, ttl_s: float) -> None:
    """Sign in until `at` + `ttl_s` seconds; sessions that are over are swept out on the way."""
    conn.execute(delete(sessions).where(sessions.c.expires_at <= at))
    conn.execute(
        insert(sessions).values(
            token_hash=token_hash, user_id=user_id, created_at=at, expires_at=at + timedelta(seconds=ttl_s)
        )
    )


def by_session(conn: Connection, token_hash: str, at: datetime) -> UserRow | None:
    """Who is signed in with this token; None if it is unknown or over, or if the person is disabled."""
    query = (
        select(users)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > at, users.c.disabled.is_(False))
    )
    found = conn.execute(query).first()
    return None if found is None else UserRow(**found._asdict())


def close_session(conn: Connection, token_hash: str) -> None:
    """Sign out; unknown tokens are no matter."""
    conn.execute(delete(sessions).where(sessions.c.token_hash == token_hash))
