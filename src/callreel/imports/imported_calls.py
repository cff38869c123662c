"""Saves imported calls: rows, stored recording and the order of the stages after a call, in one transaction each.

A call appears once its recording is complete and stored, never before, so an interrupted import leaves nothing half done.
The call's id follows from its leg's id, so that the tombstone of an erased call also keeps it from being imported again.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.runtime.clock import Clock
from callreel.store.audio.live_layers import layer_event
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, facts, layers, legs, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.files import folders
from callreel.store.files.blobs import BlobInfo, BlobStore

FACT = "imported"
"""The kind of the fact that a call keeps of its import: where its recording came from, with digest and size."""


class Standing(Enum):
    """What is known of a recording before its import."""

    NEW = "new"
    STORED = "stored"
    """It is stored here."""
    LOST = "lost"
    """It was imported, but its file is missing here."""
    CAPTURED = "captured"
    """Its call was recorded by Callreel, so the recording belongs to that call."""
    ERASED = "erased"
    """Its call was erased, or is being erased."""


@dataclass(frozen=True, slots=True)
class ImportedCall:
    """A call as an import found it. `started_at` is also where its recording starts, unless `recorded_at` says otherwise.

    `origin` describes the source, without names or numbers: it is kept as a fact.
    """

    sid: RecordingSid
    leg_sid: LegSid
    direction: Direction
    agent: str
    remote_number: str = field(repr=False)
    inbound_role: Role
    started_at: datetime
    answered_at: datetime
    ended_at: datetime
    recorded_at: datetime
    source: str
    duration_s: int | None = None
    price: float | None = None
    price_currency: str | None = None
    legs: tuple[LegRow, ...] = ()
    origin: dict[str, Json] = field(default_factory=dict)

    @property
    def call_id(self) -> CallId:
        return call_id_of(self.leg_sid)


@dataclass(frozen=True, slots=True)
class Sound:
    """The format of a stored recording."""

    rate_hz: int
    channels: int
    duration_ms: int


def call_id_of(leg_sid: LegSid) -> CallId:
    """The id that the call of a leg gets when it is imported."""
    return CallId(hashlib.sha256(f"imported {leg_sid}".encode()).hexdigest()[:12])


def recording_key(leg_sid: LegSid, sid: RecordingSid) -> str:
    """The path of a whole recording in the data folder, as a download has it."""
    return f"{folders.CLOUD}/{leg_sid}_{sid}.wav"


class ImportedCalls:
    """Blocking; one transaction for each call."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        clock: Clock,
        *,
        by: str,
        language: str = "",
        redact: bool = False,
    ) -> None:
        """`by` imports, for the audit trail. `language` is that of the calls; with `redact` they are redacted first."""
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._by = by
        self._language = language
        self._redact = redact

    def standing(self, sid: RecordingSid, leg_sid: LegSid) -> Standing:
        """What is known of a recording."""
        with self._database.read() as conn:
            return _standing(conn, sid, leg_sid)

    def stored_ms(self, sid: RecordingSid, leg_sid: LegSid) -> int | None:
        """The duration of our copy of a recording; None if there is none."""
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id_of(leg_sid))
        ours = (file.duration_ms for file in files if file.layer is Layer.CLOUD and sid in file.path)
        return next(ours, None)

    def has_file(self, key: str) -> bool:
        """Whether a call has the file of this key."""
        with self._database.read() as conn:
            return bool(layers.finished_paths(conn, [key]))

    def save(self, call: ImportedCall, blob: BlobInfo, sound: Sound) -> Standing | None:
        """Save a call, or another recording of an imported call, and order its stages.

        Saves nothing if the standing changed meanwhile, and returns it; then `discard` the file.
        """
        now = self._clock.now()
        file = LayerFile(
            Layer.CLOUD, None, blob.key, sound.rate_hz, sound.channels, sound.duration_ms, blob.size_bytes,
            blob.sha256, LayerState.CLOSED,
        )  # fmt: skip
        recording = RecordingRow(
            call.sid, call.call_id, call.leg_sid, CloudState.STORED, now, "completed", call.source, sound.channels,
            call.duration_s, started_at=call.recorded_at, price=call.price, price_currency=call.price_currency,
        )  # fmt: skip
        with self._database.write() as conn:
            standing = _standing(conn, call.sid, call.leg_sid)
            if standing not in (Standing.NEW, Standing.LOST):
                return standing
            self._save_rows(conn, call)
            layers.upsert(conn, call.call_id, file)
            recordings.set_state(conn, call.sid, CloudState.STORED, now)  # a lost one is no longer parked
            recordings.upsert(conn, recording)
            recordings.order_work(conn, recording)
            origin: dict[str, Json] = {**call.origin, "sha256": blob.sha256, "size_bytes": blob.size_bytes}
            facts.note(conn, FACT, {"recording_sid": call.sid, **origin}, now, call.call_id)
            changes = (
                LiveEvent(call.call_id, EventKind.CALL, {"state": CallState.ENDED}),
                layer_event(call.call_id, file),
            )
            events = self._publisher.record_all(conn, changes)
            details: dict[str, Json] = {"source": call.source}
            trail.record(
                conn,
                AuditEvent(
                    now, AuditAction.IMPORTED, self._by, Via.COMMAND_LINE, call_id=call.call_id,
                    subject=call.sid, details=details,
                ),
            )  # fmt: skip
        self._publisher.publish(*events)
        return None

    def discard(self, blobs: BlobStore, key: str, standing: Standing) -> None:
        """Delete the file of a call that was not saved because of its standing, unless it is that of a stored recording."""
        # The server's own download of a captured call has the same key.
        if standing is Standing.ERASED or not self.has_file(key):
            blobs.delete(key)

    def _save_rows(self, conn: Connection, call: ImportedCall) -> None:
        """The call and its legs, unless another of its recordings was imported before."""
        row = CallRow(
            call.call_id, call.direction, call.agent, call.remote_number, call.leg_sid, call.inbound_role,
            call.started_at, CallState.ENDED, call.answered_at, call.ended_at, imported=True,
            language=self._language, redaction_awaited=self._redact,
        )  # fmt: skip
        if not calls.insert(conn, row) and calls.get(conn, row.id) is None:
            raise StoreError(f"call {row.id} cannot be imported: its leg belongs to another call")
        for leg in call.legs:
            legs.upsert(conn, leg)


def _standing(conn: Connection, sid: RecordingSid, leg_sid: LegSid) -> Standing:
    known = recordings.get(conn, sid)
    call = calls.by_leg(conn, leg_sid)
    if erasures.get(conn, call.id if call else call_id_of(leg_sid)) is not None:
        return Standing.ERASED
    if call is not None and not call.imported:
        return Standing.CAPTURED
    if known is None:
        return Standing.ERASED if erasures.names_recording(conn, sid) else Standing.NEW
    return Standing.STORED if known.state is CloudState.STORED else Standing.LOST
