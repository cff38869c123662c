"""One-time tokens of media streams. Only their hashes are stored."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, select, update

from callreel.domain.ids import CallId, LegSid
from callreel.store.db.tables import media_tokens

_ISSUE = insert(media_tokens)
_REDEEM = (
    update(media_tokens)
    .where(
        media_tokens.c.token_hash == bindparam("hash"),
        media_tokens.c.leg_sid == bindparam("leg"),
        media_tokens.c.used_at.is_(None),
        media_tokens.c.expires_at > bindparam("at"),
    )
    .values(used_at=bindparam("at"))
    .returning(media_tokens.c.call_id)
)


def issue(
    conn: Connection, token_hash: str, leg_sid: LegSid, call_id: CallId, at: datetime, ttl_s: float
) -> None:
    """Allow one stream of this leg to start within `ttl_s` seconds."""
    row = {"token_hash": token_hash, "leg_sid": leg_sid, "call_id": call_id, "created_at": at}
    conn.execute(_ISSUE, row | {"expires_at": at + timedelta(seconds=ttl_s)})


def pending_calls(conn: Connection, since: datetime) -> set[CallId]:
    """Calls with an unused token issued after `since`: a media socket may still connect."""
    unused = select(media_tokens.c.call_id).where(
        media_tokens.c.created_at > since, media_tokens.c.used_at.is_(None)
    )
    return {CallId(call_id) for call_id in conn.execute(unused).scalars()}


def first_issued(conn: Connection, call_id: CallId) -> datetime | None:
    """When the first document with a stream was generated for a call; None without one."""
    query = select(media_tokens.c.created_at).where(media_tokens.c.call_id == call_id)
    return conn.execute(query.order_by(media_tokens.c.created_at).limit(1)).scalar()


def redeem(conn: Connection, token_hash: str, leg_sid: LegSid, at: datetime) -> CallId | None:
    """The call whose stream may start, or None: the token is unknown, of another leg, expired or used.

    One statement, so that of two sockets with the same token only one is accepted.
    """
    call_id = conn.execute(_REDEEM, {"hash": token_hash, "leg": leg_sid, "at": at}).scalar()
    return None if call_id is None else CallId(call_id)
