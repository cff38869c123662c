"""Second factors of local accounts: the secret of an authenticator app (TOTP, RFC 6238) and one-time recovery codes.

The web package makes and checks codes. A secret counts once it is confirmed; of recovery codes only hashes are stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_one
from callreel.store.db.tables import recovery_codes, second_factors
from callreel.store.people import sessions


@dataclass(frozen=True, slots=True)
class SecondFactorRow:
    """The secret of a person's app. `confirmed_at` None: no code was entered yet. `last_step`: of the last accepted code."""

    user_id: int
    secret: str = field(repr=False)
    confirmed_at: datetime | None
    last_step: int | None


def get(conn: Connection, user_id: int) -> SecondFactorRow | None:
    """The confirmed second factor of a person."""
    found = of_any_state(conn, user_id)
    return found if found is not None and found.confirmed_at is not None else None


def of_any_state(conn: Connection, user_id: int) -> SecondFactorRow | None:
    """The same, also one that is not confirmed."""
    return fetch_one(conn, SecondFactorRow, select(second_factors).where(second_factors.c.user_id == user_id))


def start(conn: Connection, user_id: int, secret: str) -> bool:
    """Store a secret to be confirmed, in place of an older unconfirmed one; False if one is confirmed already."""
    if get(conn, user_id) is not None:
        return False
    # Only an unconfirmed one: another session may have confirmed it since it was read.
    unconfirmed = (second_factors.c.user_id == user_id, second_factors.c.confirmed_at.is_(None))
    conn.execute(delete(second_factors).where(*unconfirmed))
    return insert_new(conn, second_factors, {"user_id": user_id, "secret": secret})


def confirm(conn: Connection, user_id: int, at: datetime) -> None:
    conn.execute(update(second_factors).where(second_factors.c.user_id == user_id).values(confirmed_at=at))


def use_step(conn: Connection, user_id: int, step: int) -> bool:
    """Accept the code of a time step once; False if this code or a later one was used. One statement, so that of two
    simultaneous uses one succeeds."""
    fresh = or_(second_factors.c.last_step.is_(None), second_factors.c.last_step < step)
    used = update(second_factors).where(second_factors.c.user_id == user_id, fresh).values(last_step=step)
    return conn.execute(used).rowcount == 1


def replace_recovery_codes(conn: Connection, user_id: int, hashes: Iterable[str]) -> None:
    conn.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    conn.execute(insert(recovery_codes), [{"user_id": user_id, "code_hash": one} for one in hashes])


def use_recovery_code(conn: Connection, user_id: int, code_hash: str) -> bool:
    """Use a recovery code once; False if the person has no such code."""
    known = (recovery_codes.c.user_id == user_id, recovery_codes.c.code_hash == code_hash)
    return conn.execute(delete(recovery_codes).where(*known)).rowcount == 1


def recovery_codes_left(conn: Connection, user_id: int) -> int:
    query = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
    return conn.execute(query).scalar_one()


def remove(conn: Connection, user_id: int) -> bool:
    """Remove the second factor, confirmed or not, and its recovery codes; False if there was none."""
    conn.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    return conn.execute(delete(second_factors).where(second_factors.c.user_id == user_id)).rowcount == 1


def reset(conn: Connection, user_id: int) -> bool:
    """The same by an administrator, who does not know who holds the app or a session: all sessions end too."""
    removed = remove(conn, user_id)
    if removed:
        sessions.end_all(conn, user_id)
    return removed


def enrolled(conn: Connection) -> set[int]:
    """The ids of all people with a second factor."""
    return set(
        conn.execute(
            select(second_factors.c.user_id).where(second_factors.c.confirmed_at.is_not(None))
        ).scalars()
    )
