"""Imports the history of the carrier's account: the recordings of each day, oldest day first, with their calls.

A day is listed as a whole, so memory holds one day. A failed request is repeated by the policy of `runtime/retry`, after the
wait that the carrier requests; an interrupted download is resumed. A recording that fails in spite of that is reported, and
the rest continues; if several fail one after the other, the carrier fails, and the import stops.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from callreel.carrier_client.client import CarrierRecordings
from callreel.domain.call import Role
from callreel.domain.errors import CallreelError, CarrierError, StoreError
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState
from callreel.imports.imported_calls import (
    ImportedCall,
    ImportedCalls,
    Sound,
    Standing,
    call_id_of,
    recording_key,
)
from callreel.imports.outcome import BY_STANDING, Outcome, Result
from callreel.imports.parties import parties_of
from callreel.runtime.retry import decide
from callreel.store.calls.legs import LegRow
from callreel.store.files.blobs import BlobExistsError, BlobStore
from callreel.twilio.rest_resources import CallResource, RecordingResource

SOURCE = "account"
ATTEMPTS = 8
"""Of each request; the waits between them add up to about two minutes."""
FAILURES_IN_A_ROW = 3
"""Recordings that fail for reasons that may pass, after which the import stops."""
SAME_LENGTH_MS = 1_500
"""The carrier reports whole seconds."""
DAY = timedelta(days=1)
T = TypeVar("T")


class ImportStoppedError(CallreelError):
    """The carrier refuses or fails all requests; a repeated import continues."""


@dataclass(frozen=True, slots=True)
class Options:
    """`delete` deletes a recording at the carrier and returns why it was kept; None keeps all of them there.

    `wait` waits some seconds, for the reason given.
    """

    wait: Callable[[float, str], None]
    delete: Callable[[RecordingSid, CallId], str | None] | None = None
    swapped: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class _Day:
    """The legs that started on a day or the day before, by SID, and the children of each."""

    legs: dict[LegSid, CallResource] = field(default_factory=dict)
    children: dict[LegSid, list[CallResource]] = field(default_factory=dict)

    def add(self, legs: list[CallResource]) -> None:
        for leg in legs:
            self.legs[leg.sid] = leg
            if leg.parent_sid is not None:
                self.children.setdefault(leg.parent_sid, []).append(leg)


class AccountImport:
    """Blocking; for one thread."""

    def __init__(
        self, calls: ImportedCalls, blobs: BlobStore, carrier: CarrierRecordings, options: Options
    ) -> None:
        self._calls = calls
        self._blobs = blobs
        self._carrier = carrier
        self._options = options

    def run(
        self, since: date, until: date, listed: Callable[[date, int], None] = lambda day, number: None
    ) -> Iterator[Outcome]:
        """Import what was recorded from `since` to `until`, both included. `listed` gets each day's number of recordings.

        Raises CarrierError if a day cannot be listed, ImportStoppedError.
        """
        in_a_row, day = 0, since
        while day <= until:
            recordings = self._attempt(partial(self._carrier.of_day, day))
            listed(day, len(recordings))
            known = self._legs(day) if recordings else _Day()
            for recording in reversed(recordings):
                outcome = self._outcome(recording, known)
                yield outcome
                in_a_row = in_a_row + 1 if outcome.passing else 0
                if in_a_row == FAILURES_IN_A_ROW:
                    raise ImportStoppedError(
                        f"{in_a_row} recordings failed one after the other, the last because {outcome.detail};"
                        " repeat the command to continue"
                    )
            day += DAY

    def _legs(self, day: date) -> _Day:
        found = _Day()
        for one in (day - DAY, day):  # a call may begin before midnight and its recording after it
            found.add(self._attempt(partial(self._carrier.legs_of_day, one)))
        return found

    def _outcome(self, recording: RecordingResource, known: _Day) -> Outcome:
        try:
            return self._one(recording, known)
        except CarrierError as error:
            if error.status in (401, 403):
                raise ImportStoppedError(f"{error}: check TWILIO_API_KEY_SID and its secret") from None
            return Outcome(recording.sid, Result.FAILED, str(error), passing=error.retryable)
        except (CallreelError, OSError) as error:
            # A full disk or a database that does not respond fails the next recording too; other bytes are this one's.
            passing = isinstance(error, StoreError | OSError) and not isinstance(error, BlobExistsError)
            return Outcome(recording.sid, Result.FAILED, str(error), passing=passing)

    def _one(self, recording: RecordingResource, known: _Day) -> Outcome:
        standing = self._calls.standing(recording.sid, recording.leg_sid)
        if standing is Standing.STORED:
            return self._present(recording)
        if standing is Standing.LOST:
            return Outcome(recording.sid, Result.PRESENT, "a server downloads it again")
        if (result := BY_STANDING.get(standing)) is not None:
            return Outcome(recording.sid, result)
        if recording.cloud_state is not CloudState.COMPLETED:
            return Outcome(recording.sid, Result.ABSENT, f"the carrier says {recording.status}")
        if recording.encrypted:
            detail = "it is encrypted with the account's public key, which Callreel cannot decrypt"
            return Outcome(recording.sid, Result.FAILED, detail)
        call = self._call(recording, known)
        if self._options.dry_run:
            return Outcome(recording.sid, Result.IMPORTED, _described(call, recording))
        return self._import(recording, call)

    def _present(self, recording: RecordingResource) -> Outcome:
        kept = None
        if self._options.delete is not None and not self._options.dry_run:
            stored_ms = self._calls.stored_ms(recording.sid, recording.leg_sid)
            kept = self._delete(recording, stored_ms)
        if kept is not None:
            return Outcome(recording.sid, Result.FAILED, f"it is here, but stays at the carrier: {kept}")
        return Outcome(recording.sid, Result.PRESENT)

    def _import(self, recording: RecordingResource, call: ImportedCall) -> Outcome:
        key = recording_key(call.leg_sid, call.sid)
        part = self._blobs.part_file(key)
        info = self._attempt(lambda: self._carrier.download(call.sid, part))
        blob = self._blobs.commit_part(key)
        sound = Sound(info.rate_hz, info.channels, info.duration_ms)
        if (standing := self._calls.save(call, blob, sound)) is not None:
            self._calls.discard(self._blobs, key, standing)
            return Outcome(call.sid, BY_STANDING[standing])
        kept = self._delete(recording, sound.duration_ms)
        if kept is not None:
            return Outcome(
                call.sid, Result.FAILED, f"it is imported, but stays at the carrier: {kept}", call.call_id
            )
        return Outcome(call.sid, Result.IMPORTED, "", call.call_id)

    def _delete(self, recording: RecordingResource, stored_ms: int | None) -> str | None:
        """Why the carrier's copy was kept; None if it is deleted, or if none is to be deleted."""
        delete = self._options.delete
        if delete is None:
            return None
        if (kept := _other_length(recording, stored_ms)) is not None:
            return kept
        call_id = call_id_of(recording.leg_sid)
        return self._attempt(lambda: delete(recording.sid, call_id))

    def _call(self, recording: RecordingResource, known: _Day) -> ImportedCall:
        leg_sid = recording.leg_sid
        parent = known.legs.get(leg_sid) or self._attempt(lambda: self._carrier.leg(leg_sid))
        if parent is None:
            raise CarrierError("the carrier no longer has its call", retryable=False)
        children = known.children.get(leg_sid) or self._attempt(lambda: self._carrier.children(leg_sid))
        child = _spoken_to(children)
        parties = parties_of(parent, child, swapped=self._options.swapped)
        began = parent.start_time or recording.start_time
        if began is None:
            raise CarrierError("the carrier has no time of its call", retryable=False)
        length = timedelta(seconds=recording.duration_s or 0)
        role = parties.inbound_role
        call_id = call_id_of(leg_sid)
        legs = [_leg_row(parent, call_id, role)]
        legs += [_leg_row(child, call_id, role.other)] if child else []
        return ImportedCall(
            recording.sid, leg_sid, parties.direction, parties.agent, parties.number, role,
            started_at=began,
            answered_at=(child.start_time if child else None) or began,
            ended_at=max(parent.end_time or began + length, began),
            recorded_at=recording.start_time or began,
            source=recording.source or SOURCE,
            duration_s=recording.duration_s,
            price=recording.charged,
            price_currency=recording.price_unit,
            legs=tuple(legs),
            origin={"source": SOURCE},
        )  # fmt: skip

    def _attempt(self, work: Callable[[], T]) -> T:
        """The result of a request, repeated while it fails for a reason that may pass. Raises CarrierError."""
        failure = 0
        while True:
            try:
                return work()
            except CarrierError as error:
                failure += 1
                # A recording of the past that has no audio now will have none later.
                passing = error.retryable and error.status != 404
                if not passing or failure >= ATTEMPTS:
                    raise
                retry = decide(error, failure, park_after=ATTEMPTS + 1, jitter=random.random())
                self._options.wait(retry.after_s or 0.0, str(error))


def _spoken_to(children: list[CallResource]) -> CallResource | None:
    """The dialled leg that was connected, else the first one."""
    answered = [leg for leg in children if leg.start_time is not None]
    return max(answered or children, key=lambda leg: (leg.duration_s or 0, leg.sid), default=None)


def _leg_row(leg: CallResource, call_id: CallId, role: Role) -> LegRow:
    return LegRow(
        leg.sid,
        call_id,
        role,
        leg.status,
        leg.parent_sid,
        leg.start_time,
        leg.end_time,
        leg.duration_s,
        leg.charged,
        leg.price_unit,
    )


def _other_length(recording: RecordingResource, stored_ms: int | None) -> str | None:
    """Why our copy may not be the whole recording. A copy without a row is refused by the deletion itself."""
    if recording.duration_s is None or stored_ms is None:
        return None
    if abs(recording.duration_s * 1000 - stored_ms) <= SAME_LENGTH_MS:
        return None
    return f"our copy has {stored_ms / 1000:.1f} s, the carrier reports {recording.duration_s} s"


def _described(call: ImportedCall, recording: RecordingResource) -> str:
    """What a dry run says, without the number."""
    channels = {1: "one channel: kept without a transcript", 2: "two channels"}.get(
        recording.channels or 0, ""
    )
    when: datetime = call.started_at
    return f"{when.isoformat(timespec='seconds')} {call.agent} {call.direction}, {recording.duration_s} s, {channels}"
