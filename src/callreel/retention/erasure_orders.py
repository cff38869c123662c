"""Orders the erasure of a call: whether it is allowed, what it would delete, and the order as a row.

The order is written in the transaction that checks what forbids it, so that a call that is held at the same instant is
either held or erased, never both. `erasure.py` carries it out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.json_time import json_time
from callreel.domain.recording import LayerFile
from callreel.domain.work import Workflow
from callreel.retention.legal_hold import checked_reason
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls, erasures, holds, layers, outbox, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.holds import HoldRow
from callreel.store.db.database import Database

NO_CREDENTIALS = (
    "no carrier credentials are set to erase the recording there; set them, or leave the carrier's copy"
)


class ErasureRefusedError(CallreelError):
    """A call cannot be erased in its present state; the message says why."""


@dataclass(frozen=True, slots=True)
class ErasurePreview:
    """What erasing a call deletes. `counts` are rows by table; `refusal` says why it cannot be erased now."""

    files: list[LayerFile]
    recordings: list[RecordingSid]
    counts: dict[str, Json]
    refusal: str | None

    @property
    def size_bytes(self) -> int:
        """The size of all files in their original form."""
        return sum(file.size_bytes for file in self.files)


class ErasureOrders:
    """Blocking; safe from any thread."""

    def __init__(self, database: Database, clock: Clock, *, carrier_usable: bool) -> None:
        """`carrier_usable`: whether credentials are set, without which nothing can be erased at the carrier."""
        self._carrier_usable = carrier_usable
        self._database = database
        self._clock = clock

    def request(
        self,
        call_id: CallId,
        by: str,
        reason: str = "",
        *,
        at_carrier: bool = True,
        check: Callable[[Connection, CallRow], None] | None = None,
    ) -> ErasureRow:
        """Order the erasure of a call; ordered again, a retry that waits runs at once. The first `by` and `reason` stay.

        With `at_carrier` the carrier's copies are deleted first. `check` runs in the transaction of the order, with the call
        locked, and may raise ErasureRefusedError. Raises NoCallError, ErasureRefusedError, ReasonError.
        """
        reason = checked_reason(reason, needed=False)
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            if check is not None:
                check(conn, call)
            if at_carrier and not self._carrier_usable and recordings.at_carrier(conn, call_id):
                raise ErasureRefusedError(NO_CREDENTIALS)
            if erasures.get(conn, call_id) is not None:
                erasures.repeat_request(conn, call_id, at_carrier=at_carrier)
            else:
                refused = refusal(conn, call)
                if refused is not None:
                    raise ErasureRefusedError(refused)
                files: dict[str, Json] = {file.path: file.sha256 for file in layers.of_call(conn, call_id)}
                held: list[Json] = [_without_reasons(row) for row in holds.of_call(conn, call_id)]
                row = ErasureRow(
                    call_id, by, self._clock.now(), files, reason=reason, at_carrier=at_carrier, holds=held
                )
                erasures.begin(conn, row)
            describe(reason=reason, at_carrier=at_carrier)
            outbox.put(conn, call_id, Workflow.ERASE, call_id, self._clock.now(), once=True)
            ordered = erasures.get(conn, call_id)
            assert ordered is not None
        return ordered

    def preview(self, call_id: CallId) -> ErasurePreview | None:
        """What erasing the call would delete; None if there is no such call."""
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            if call is None:
                return None
            return ErasurePreview(
                layers.of_call(conn, call_id),
                recordings.at_carrier(conn, call_id),
                erasures.counts(conn, call_id),
                refusal(conn, call),
            )


def refusal(conn: Connection, call: CallRow) -> str | None:
    """The reason why a call cannot be erased now; None if it can."""
    held = holds.current(conn, call.id)
    if held is not None:
        return f"the call is held by {held.by} since {held.at:%Y-%m-%d}; it can be erased once it is released"
    if call.state is CallState.LIVE:
        return "the call is still in progress; it can be erased when it has ended and is checked"
    if call.state is not CallState.CLOSED or outbox.has_order(conn, call.id):
        return "the call is still being checked; it can be erased when that is done, minutes after its end as a rule"
    return None


def _without_reasons(row: HoldRow) -> dict[str, Json]:
    return {
        "by": row.by,
        "at": json_time(row.at),
        "released_by": row.released_by,
        "released_at": json_time(row.released_at),
    }
