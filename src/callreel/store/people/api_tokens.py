"""Tokens with which programs use the API. Only their hashes are kept; making and hashing them is the web's."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from callreel.domain.access import Scope
from callreel.store.db.tables import api_tokens
from callreel.store.db.tables import users as user_table
from callreel.store.people import users
from callreel.store.people.users import UserRow


@dataclass(frozen=True, slots=True)
class ApiTokenRow:
    """A token as its owner sees it. `expires_at` None: until it is removed."""

    id: int
    user_id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


def add(
    conn: Connection,
    user_id: int,
    name: str,
    token_hash: str,
    scopes: Iterable[Scope],
    at: datetime,
    expires_at: datetime | None,
) -> ApiTokenRow:
    """Keep a new token."""
    values = {
        "user_id": user_id,
        "name": name,
        "token_hash": token_hash,
        "scopes": sorted(scopes),
        "created_at": at,
        "expires_at": expires_at,
    }
    new = insert(api_tokens).values(**values).returning(api_tokens)
    return _row(conn.execute(new).one())


def of_user(conn: Connection, user_id: int) -> list[ApiTokenRow]:
    """Newest first, those that are over too."""
    query = select(api_tokens).where(api_tokens.c.user_id == user_id).order_by(api_tokens.c.id.desc())
    return [_row(found) for found in conn.execute(query)]


def owner_of(conn: Connection, token_hash: str, at: datetime) -> tuple[UserRow, ApiTokenRow] | None:
    """The owner of a token and the token; None if it is unknown or over, or if the person is disabled."""
    good = (
        api_tokens.c.token_hash == token_hash,
        or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > at),
        user_table.c.disabled.is_(False),
    )
    query = select(api_tokens).join(user_table, user_table.c.id == api_tokens.c.user_id).where(*good)
    found = conn.execute(query).first()
    owner = None if found is None else users.get(conn, found.user_id)
    return None if found is None or owner is None else (owner, _row(found))


def touch(conn: Connection, token_id: int, at: datetime) -> None:
    """The token was used."""
    conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=at))


def remove(conn: Connection, user_id: int, token_id: int) -> bool:
    """Whether there was one of this person's."""
    own = (api_tokens.c.id == token_id, api_tokens.c.user_id == user_id)
    return conn.execute(delete(api_tokens).where(*own)).rowcount == 1


def _row(found: Any) -> ApiTokenRow:
    return ApiTokenRow(
        found.id,
        found.user_id,
        found.name,
        tuple(Scope(scope) for scope in found.scopes),
        found.created_at,
        found.expires_at,
        found.last_used_at,
    )
