"""One-time links for creating the first administrator. Only hashes are stored; a new link revokes the older ones."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from callreel.store.db.tables import welcome_tokens


def issue(conn: Connection, token_hash: str, at: datetime, ttl_s: float) -> None:
    """Replace the valid link; the new one expires after `ttl_s` seconds."""
    conn.execute(delete(welcome_tokens))
    expires_at = at + timedelta(seconds=ttl_s)
    conn.execute(insert(welcome_tokens).values(token_hash=token_hash, created_at=at, expires_at=expires_at))


def is_valid(conn: Connection, token_hash: str, at: datetime) -> bool:
    known = (welcome_tokens.c.token_hash == token_hash, welcome_tokens.c.expires_at > at)
    return conn.execute(select(welcome_tokens.c.token_hash).where(*known)).first() is not None


def redeem(conn: Connection, token_hash: str, at: datetime) -> bool:
    """Use the link once; False if it is not valid. One statement, so that of two simultaneous uses one succeeds."""
    known = (welcome_tokens.c.token_hash == token_hash, welcome_tokens.c.expires_at > at)
    return conn.execute(delete(welcome_tokens).where(*known)).rowcount == 1
