"""API tokens of programs as rows. Only their hashes are stored; the web package creates and hashes them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select, update

from callreel.domain.access import Scope
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import api_tokens
from callreel.store.db.tables import users as user_table
from callreel.store.people import users
from callreel.store.people.users import UserRow


@dataclass(frozen=True, slots=True)
class ApiTokenRow:
    """A token as displayed to its owner. `expires_at` None: valid until it is deleted."""

    id: int
    user_id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


_COLUMNS = [api_tokens.c[field.name] for field in fields(ApiTokenRow)]  # all but the hash


def add(
    conn: Connection,
    user_id: int,
    name: str,
    token_hash: str,
    scopes: Iterable[Scope],
    at: datetime,
    expires_at: datetime | None,
) -> ApiTokenRow:
    """Save a new token."""
    values = {
        "user_id": user_id,
        "name": name,
        "token_hash": token_hash,
        "scopes": tuple(sorted(scopes)),
        "created_at": at,
        "expires_at": expires_at,
    }
    return fetch_all(conn, ApiTokenRow, insert(api_tokens).values(**values).returning(*_COLUMNS))[0]


def of_user(conn: Connection, user_id: int) -> list[ApiTokenRow]:
    """Newest first, with the expired ones."""
    query = select(*_COLUMNS).where(api_tokens.c.user_id == user_id).order_by(api_tokens.c.id.desc())
    return fetch_all(conn, ApiTokenRow, query)


def owner_of(conn: Connection, token_hash: str, at: datetime) -> tuple[UserRow, ApiTokenRow] | None:
    """The owner of a token, and the token. None if it is unknown or expired, or if the owner is disabled."""
    valid = (
        api_tokens.c.token_hash == token_hash,
        or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > at),
        user_table.c.disabled.is_(False),
    )
    query = select(*_COLUMNS).join(user_table, user_table.c.id == api_tokens.c.user_id).where(*valid)
    token = fetch_one(conn, ApiTokenRow, query)
    owner = None if token is None else users.get(conn, token.user_id)
    return None if token is None or owner is None else (owner, token)


def holds(conn: Connection, token_hash: str) -> bool:
    """Whether the token exists and its owner is not disabled. Its removal waits until this transaction ends."""
    mine = api_tokens.c.token_hash == token_hash, user_table.c.disabled.is_(False)
    query = select(api_tokens.c.id).join(user_table, user_table.c.id == api_tokens.c.user_id).where(*mine)
    return conn.execute(query.with_for_update(read=True, key_share=True)).first() is not None


def touch(conn: Connection, token_id: int, at: datetime) -> None:
    """Save the time of the last use."""
    conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=at))


def remove(conn: Connection, user_id: int, token_id: int) -> bool:
    """Delete a token of this user; False without one."""
    own = (api_tokens.c.id == token_id, api_tokens.c.user_id == user_id)
    return conn.execute(delete(api_tokens).where(*own)).rowcount == 1
