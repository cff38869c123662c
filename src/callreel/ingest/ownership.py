"""Which calls this process looks after: the rows behind `services/live_calls`.

A call's row names one process, its owner: first the one that answered the carrier, then the one that has the call's
socket. The owner ends the call; who is told by the carrier that a leg is over tells the owner (`cluster/event_relay`), and
what was told in vain the owner finds in the rows. Every change of hands and every end is one conditional statement, so
of two processes that act at once one does.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from callreel.cluster.group_commit import Written
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.ingest.call_end import end_in
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import callbacks, calls, legs, stream_tokens, streams
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database

STREAM_STOPPED = "stream-stopped"


@dataclass(frozen=True, slots=True)
class Found:
    """What the rows say of calls that this process looks after.

    `over`: the carrier ended their parent leg. `gone`: another process has them, or ended them. `stopped`: streams that
    the carrier stopped.
    """

    over: frozenset[CallId]
    gone: frozenset[CallId]
    stopped: frozenset[StreamSid]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that a stream may join. `row` names the owner before; `is_new`: it had no stream anywhere."""

    row: CallRow
    is_new: bool


class CallOwnership:
    """Within a transaction of the caller's, but for `look`, which blocks for one of its own."""

    def __init__(self, database: Database, clock: Clock, process: str) -> None:
        """`process` is this process's name among its peers."""
        self.process = process
        self._database = database
        self._clock = clock

    def admit(self, conn: Connection, token: str, leg_sid: LegSid) -> Admitted | None:
        """Spend a stream's token and take its call over; None if it may not begin."""
        call_id = stream_tokens.redeem(conn, token_hash(token), leg_sid, self._clock.now())
        row = calls.get(conn, call_id) if call_id else None
        # What comes after the end is in the carrier's recording; the live layers are being judged.
        if row is None or not calls.claim(conn, row.id, self.process):
            return None
        return Admitted(row, not streams.of_call(conn, row.id))

    def end(self, conn: Connection, call_id: CallId, at: datetime) -> Written | None:
        """End a call that is this process's; None when it was ended before, or is another's."""
        return end_in(conn, call_id, at, owner=self.process)

    def owns(self, conn: Connection, call_id: CallId) -> bool:
        """Whether the call is still this process's."""
        row = calls.get(conn, call_id)
        return row is not None and row.owner == self.process

    def look(self, held: Collection[CallId], open_streams: Collection[StreamSid]) -> Found:
        """What became of the calls that this process owns and of those it holds, which should be the same."""
        with self._database.read() as conn:
            owned = frozenset(calls.owned(conn, self.process, CallState.LIVE))
            over = legs.parents_over(conn, owned)
            stopped = callbacks.existing_keys(
                conn, "stream", [f"{sid}:{STREAM_STOPPED}" for sid in open_streams]
            )
        return Found(
            frozenset(over),
            frozenset(held) - owned,
            frozenset(StreamSid(key.partition(":")[0]) for key in stopped),
        )
