"""Failed attempts to sign in or to guess a secret, counted by key, for all processes of an installation together.

A key names whose attempts these are: an account, an address, or both. It has no name that somebody typed, since people
type passwords there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select

from callreel.store.db.dialect import advisory_lock, insert
from callreel.store.db.tables import attempts


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """At most `limit` failures of a key within any `window_s` seconds. `resets`: a success takes back all of them."""

    name: str
    limit: int
    resets: bool = False
    window_s: float = 900.0

    def recent(self, failures: Sequence[int], at_ms: int) -> list[int]:
        """Those of the failures that still count."""
        return [one for one in failures if one > at_ms - self.window_s * 1000]

    def wait_s(self, recent: Sequence[int], at_ms: int) -> float:
        """Seconds until the next attempt is allowed; 0 for now."""
        if len(recent) < self.limit:
            return 0.0
        return (recent[-self.limit] - at_ms) / 1000 + self.window_s


def begin(conn: Connection, limit: AttemptLimit, key: str, at: datetime) -> float:
    """Count an attempt as failed before its result is known; 0, or the seconds to wait, and then it is not counted."""
    recent, at_ms = limit.recent(_locked(conn, limit, key), _ms(at)), _ms(at)
    longest_s = limit.wait_s(recent, at_ms)
    if longest_s <= 0:
        _store(conn, limit, key, [*recent, at_ms])
    return max(longest_s, 0.0)


def wait_s(conn: Connection, limit: AttemptLimit, key: str, at: datetime) -> float:
    """The seconds to wait before an attempt would be allowed, without counting one; 0 for now."""
    found = conn.execute(select(attempts.c.failed_ms).where(attempts.c.key == _name(limit, key))).scalar()
    return limit.wait_s(limit.recent(found or (), _ms(at)), _ms(at))


def succeeded(conn: Connection, limit: AttemptLimit, key: str, at: datetime) -> int:
    """Take back the attempt that began at `at`, or all; returns how many failures are left."""
    left = _locked(conn, limit, key)
    if limit.resets:
        left = []
    elif _ms(at) in left:
        left.remove(_ms(at))
    if left:
        _store(conn, limit, key, left)
    else:
        conn.execute(delete(attempts).where(attempts.c.key == _name(limit, key)))
    return len(left)


def remove_expired(conn: Connection, at: datetime) -> None:
    """Remove the failures that count no more."""
    conn.execute(delete(attempts).where(attempts.c.expires_at <= at))


def _locked(conn: Connection, limit: AttemptLimit, key: str) -> list[int]:
    """The failures of a key, in milliseconds since 1970; other transactions of the key wait for this one."""
    name = _name(limit, key)
    advisory_lock(conn, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True))
    found = conn.execute(select(attempts.c.failed_ms).where(attempts.c.key == name)).scalar()
    return list(found or ())


def _store(conn: Connection, limit: AttemptLimit, key: str, failures: Sequence[int]) -> None:
    expires_at = datetime.fromtimestamp(failures[-1] / 1000, UTC) + timedelta(seconds=limit.window_s)
    values = {"failed_ms": tuple(failures), "expires_at": expires_at}
    row = insert(conn.dialect.name, attempts).values(key=_name(limit, key), **values)
    conn.execute(row.on_conflict_do_update(index_elements=[attempts.c.key], set_=values))


def _name(limit: AttemptLimit, key: str) -> str:
    return f"{limit.name} {key}"


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
