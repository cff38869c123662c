"""The one-time link that creates the first administrator. A start without users prints it; `pages/sign_in.py` uses it.

It is valid for one account and one day; the next start without users replaces it. Once an account exists, no link is
valid.
"""

from typing import Final

from callreel.domain.access import UserRole
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.db.database import Database
from callreel.store.people import users, welcome_tokens
from callreel.store.people.users import UserRow

LINK_S: Final = 24 * 3600.0


def first_link(database: Database, clock: Clock, public_url: str) -> str | None:
    """A new link for the first administrator; None when an account exists. Blocking."""
    token = new_token()
    with database.write() as conn:
        if users.count(conn):
            return None
        welcome_tokens.issue(conn, token_hash(token), clock.now(), LINK_S)
    return f"{public_url}/welcome?token={token}"


def is_valid(database: Database, clock: Clock, token: str) -> bool:
    """Whether a link's token can still create the first administrator. Blocking."""
    with database.read() as conn:
        valid = welcome_tokens.is_valid(conn, token_hash(token), clock.now())
        return valid and users.count(conn) == 0


def create_administrator(
    database: Database, clock: Clock, token: str, name: str, password_hash: str
) -> UserRow | None:
    """Use the token to create the first administrator; None if it is not valid any more. Blocking."""
    now = clock.now()
    with database.write() as conn:
        if not welcome_tokens.redeem(conn, token_hash(token), now) or users.count(conn):
            return None
        return users.add(conn, name, password_hash, UserRole.ADMINISTRATOR, now)
