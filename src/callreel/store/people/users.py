"""User accounts. The web package hashes passwords; only hashes are stored."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count as counting
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from callreel.domain.access import LONGEST_NAME, UserRole, identity_of
from callreel.domain.errors import StoreError
from callreel.store.db.dialect import advisory_lock, insert_new
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import users
from callreel.store.people import sessions


class NameTakenError(StoreError):
    """Another account has this name."""


class LastAdministratorError(StoreError):
    """The change would leave no administrator."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """An account. `identity` is the client identity of the person's calls, stored in `calls.agent`.

    An account of an OpenID Connect provider has a `subject`, the provider's name and the person's id there, and no password.
    """

    id: int
    name: str
    password_hash: str | None = field(repr=False)
    role: UserRole
    created_at: datetime
    disabled: bool
    identity: str
    subject: str | None = None


_PEOPLE_LOCK = 0x0CA11_9E0E


def add(conn: Connection, name: str, password_hash: str, role: UserRole, at: datetime) -> UserRow:
    """Add an account with a unique client identity. Raises NameTakenError."""
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
    return fetch_all(conn, UserRow, select(users).where(users.c.name == name))[0]


def add_from_provider(conn: Connection, subject: str, name: str, role: UserRole, at: datetime) -> UserRow:
    """Add an account of a provider. If its name is taken, it gets a number: it must never become another person's account."""
    advisory_lock(conn, _PEOPLE_LOCK)
    short = name.strip()[: LONGEST_NAME - 6] or "person"
    candidates = (short if n == 1 else f"{short} ({n})" for n in counting(1))
    free = next(candidate for candidate in candidates if get_by_name(conn, candidate) is None)
    values = {
        "name": free, "password_hash": None, "role": role, "created_at": at, "disabled": False,
        "identity": _free_identity(conn, free), "subject": subject,
    }  # fmt: skip
    conn.execute(insert(users).values(**values))
    return fetch_all(conn, UserRow, select(users).where(users.c.subject == subject))[0]


def change(
    conn: Connection,
    user_id: int,
    *,
    password_hash: str | None = None,
    role: UserRole | None = None,
    disabled: bool | None = None,
    local_accounts: bool = True,
) -> UserRow | None:
    """Change what is given; None if the id is unknown. A new password and disabling the account end all its sessions.

    Raises LastAdministratorError instead of leaving an installation without an administrator who can sign in: without
    `local_accounts` only those of the provider can.
    """
    advisory_lock(conn, _PEOPLE_LOCK)
    known = get(conn, user_id)
    if known is None:
        return None
    stays = (role or known.role) is UserRole.ADMINISTRATOR and not (
        known.disabled if disabled is None else disabled
    )
    counts = _is_administrator(known) and (local_accounts or known.subject is not None)
    if counts and not stays and _administrators(conn, local_accounts=local_accounts) == 1:
        raise LastAdministratorError("this is the last administrator; appoint another one first")
    given = {"password_hash": password_hash, "role": role, "disabled": disabled}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if values:
        conn.execute(update(users).where(users.c.id == user_id).values(**values))
    if password_hash is not None or disabled:
        sessions.end_all(conn, user_id)
    return get(conn, user_id)


def lock(conn: Connection, user_id: int) -> None:
    """Let changes of the account wait until this transaction ends, and wait for those that began. SQLite has one writer."""
    conn.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def get(conn: Connection, user_id: int) -> UserRow | None:
    return fetch_one(conn, UserRow, select(users).where(users.c.id == user_id))


def get_by_name(conn: Connection, name: str) -> UserRow | None:
    """Also finds disabled accounts."""
    return fetch_one(conn, UserRow, select(users).where(users.c.name == name))


def get_by_subject(conn: Connection, subject: str) -> UserRow | None:
    """The account of a person at a provider, also a disabled one."""
    return fetch_one(conn, UserRow, select(users).where(users.c.subject == subject))


def all_users(conn: Connection) -> list[UserRow]:
    """By name, with the disabled ones."""
    return fetch_all(conn, UserRow, select(users).order_by(users.c.name))


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(users)).scalar_one()


def _free_identity(conn: Connection, name: str) -> str:
    """`ada`, or `ada_2` if another account has `ada`."""
    first = identity_of(name)
    like = select(users.c.identity).where(users.c.identity.startswith(first, autoescape=True))
    taken = set(conn.execute(like).scalars())
    candidates = (first if n == 1 else f"{first}_{n}" for n in counting(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _is_administrator(row: UserRow) -> bool:
    return row.role is UserRole.ADMINISTRATOR and not row.disabled


def _administrators(conn: Connection, *, local_accounts: bool) -> int:
    active = [users.c.role == UserRole.ADMINISTRATOR, users.c.disabled.is_(False)]
    if not local_accounts:
        active.append(users.c.subject.is_not(None))
    return conn.execute(select(func.count()).select_from(users).where(*active)).scalar_one()
