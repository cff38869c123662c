"""People who sign in, and their sessions. Hashing passwords and tokens is the web's; only hashes come here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count as counting
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from callreel.domain.access import UserRole, identity_of
from callreel.domain.errors import StoreError
from callreel.store.db.dialect import advisory_lock, insert_new
from callreel.store.db.tables import sessions, users


class NameTakenError(StoreError):
    """Somebody else has this name."""


class LastAdministratorError(StoreError):
    """Nobody would be left who may let others in."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person. `identity` is the client identity of their calls, which `calls.agent` holds."""

    id: int
    name: str
    password_hash: str = field(repr=False)
    role: UserRole
    created_at: datetime
    disabled: bool
    identity: str


_PEOPLE_LOCK = 0x0CA11_9E0E


def add(conn: Connection, name: str, password_hash: str, role: UserRole, at: datetime) -> UserRow:
    """A new person, with a client identity that nobody else has. Raises NameTakenError."""
    advisory_lock(conn, _PEOPLE_LOCK)
    values = {
        "name": name,
        "password_hash": password_hash,
        "role": role,
        "created_at": at,
        "disabled": False,
        "identity": _free_identity(conn, name),
    }
    if not insert_new(conn, users, values):
        raise NameTakenError(f"the user name {name!r} is taken")
    return _row(conn.execute(select(users).where(users.c.name == name)).one())


def change(
    conn: Connection,
    user_id: int,
    *,
    password_hash: str | None = None,
    role: UserRole | None = None,
    disabled: bool | None = None,
) -> UserRow | None:
    """Change what is given; None if there is nobody of this id. A new password and a disabling end all sessions.

    Raises LastAdministratorError rather than leave an installation without one.
    """
    advisory_lock(conn, _PEOPLE_LOCK)
    known = get(conn, user_id)
    if known is None:
        return None
    stays = (role or known.role) is UserRole.ADMINISTRATOR and not (
        known.disabled if disabled is None else disabled
    )
    if _is_administrator(known) and not stays and _administrators(conn) == 1:
        raise LastAdministratorError("the last administrator stays one; make another first")
    given = {"password_hash": password_hash, "role": role, "disabled": disabled}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if values:
        conn.execute(update(users).where(users.c.id == user_id).values(**values))
    if password_hash is not None or disabled:
        close_all_sessions(conn, user_id)
    return get(conn, user_id)


def get(conn: Connection, user_id: int) -> UserRow | None:
    found = conn.execute(select(users).where(users.c.id == user_id)).first()
    return None if found is None else _row(found)


def get_by_name(conn: Connection, name: str) -> UserRow | None:
    """Disabled people too: the caller decides what to tell them."""
    found = conn.execute(select(users).where(users.c.name == name)).first()
    return None if found is None else _row(found)


def all_users(conn: Connection) -> list[UserRow]:
    """By name, disabled people too."""
    return [_row(found) for found in conn.execute(select(users).order_by(users.c.name))]


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
    return None if found is None else _row(found)


def close_session(conn: Connection, token_hash: str) -> None:
    """Sign out; unknown tokens are no matter."""
    conn.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def close_all_sessions(conn: Connection, user_id: int) -> int:
    """Sign a person out everywhere; how many sessions that ended."""
    return conn.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def _free_identity(conn: Connection, name: str) -> str:
    """`ada`, or `ada_2` where another person's name gave `ada` already."""
    first = identity_of(name)
    like = select(users.c.identity).where(users.c.identity.startswith(first, autoescape=True))
    taken = set(conn.execute(like).scalars())
    candidates = (first if n == 1 else f"{first}_{n}" for n in counting(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _is_administrator(row: UserRow) -> bool:
    return row.role is UserRole.ADMINISTRATOR and not row.disabled


def _administrators(conn: Connection) -> int:
    active = (users.c.role == UserRole.ADMINISTRATOR, users.c.disabled.is_(False))
    return conn.execute(select(func.count()).select_from(users).where(*active)).scalar_one()


def _row(found: Any) -> UserRow:
    return UserRow(**found._asdict())
