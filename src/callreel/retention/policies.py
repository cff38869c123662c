"""Retention policies at work: what is due, and deleting it. A legal hold wins over every policy.

Whole calls are erased by the ordinary erasure, with its tombstone. Audio, text or numbers alone are deleted here: first the
order as a row, in the transaction that checks what forbids it, then the work, then the record. Each step may run twice.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.errors import CallreelError, CarrierError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.retention import DataKind, Expiry, Rule, expiries, shortest_days
from callreel.retention.erasure import erase_file, sids_of
from callreel.retention.erasure_orders import NO_CREDENTIALS, ErasureOrders, ErasureRefusedError, refusal
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.audit import trail
from callreel.store.audit.pending import audited
from callreel.store.calls import calls, deletions, erasures, expired, holds, layers, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)

INTERVAL_S = 3600.0
BY_POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Due:
    """Data of a call that a policy deletes at `at`. `policy` names the rule by its number; `held`: a legal hold keeps it."""

    call_id: CallId
    kind: DataKind
    at: datetime
    policy: str
    held: bool


class Retention:
    """Blocking."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        publisher: EventPublisher,
        clock: Clock,
        rules: Sequence[Rule],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._publisher = publisher
        self._clock = clock
        self._rules = rules
        self._orders = ErasureOrders(database, clock, carrier_usable=carrier.usable)

    def job(self, leads: Callable[[], bool]) -> PeriodicJob:
        """For every server; only the one for which `leads` is true does the work."""
        return PeriodicJob(name="retention", job=self.sweep, interval_s=INTERVAL_S, enabled=leads)

    def sweep(self) -> int:
        """Delete what is due; returns how many kinds of data of calls. What fails is tried again in the next sweep."""
        done = 0
        for due in preview(self._database, self._rules, self._clock.now()):
            if due.held:
                continue
            try:
                self._delete(due)
                done += 1
            except CarrierError as error:
                log.warning("retention stopped: %s", error)
                break
            except CallreelError as error:
                log.info("policy does not delete yet: %s", error, extra={"call_id": due.call_id})
        if done:
            scrub(self._database)
        return done

    def _delete(self, due: Due) -> None:
        call_id, now = due.call_id, self._clock.now()
        if due.kind is DataKind.CALL:
            entry = AuditEvent(
                now, AuditAction.ERASURE_ORDERED, BY_POLICY, call_id=call_id, reason=due.policy
            )
            with audited(entry):
                self._orders.request(
                    call_id, BY_POLICY, due.policy, check=lambda conn, call: self._check(conn, call, due)
                )
            with self._database.write() as conn:
                expired.record_call(conn, call_id, due.policy, now)
            return
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            self._check(conn, call, due)
            reason = refusal(conn, call)
            if reason is not None:
                raise ErasureRefusedError(reason)
            files: dict[str, Json] = {}
            if due.kind is DataKind.AUDIO:
                files = {file.path: file.sha256 for file in layers.of_call(conn, call_id)}
            expired.order(conn, call_id, due.kind, due.policy, now, files)
        work = {
            DataKind.AUDIO: self._delete_audio,
            DataKind.TEXT: self._delete_text,
            DataKind.NUMBERS: self._delete_numbers,
        }
        counts = work[due.kind](call)
        with self._database.write() as conn:
            expired.finish(conn, call_id, due.kind, self._clock.now(), counts)
            change = LiveEvent(call_id, EventKind.CALL, {"deleted": due.kind.value})
            event = self._publisher.record(conn, change)
            entry = AuditEvent(
                self._clock.now(), AuditAction.DATA_EXPIRED, BY_POLICY, call_id=call_id, subject=due.kind.value,
                reason=due.policy, details=counts,
            )  # fmt: skip
            trail.record(conn, entry)
        self._publisher.publish(event)
        log.info("retention policy deleted %s", due.kind.value, extra={"call_id": call_id})

    def _check(self, conn: Connection, call: CallRow, due: Due) -> None:
        """Refuse what is no longer due: a sweep takes hours, in which labels, numbers and verdicts change.

        `conn` is the transaction of the order and has locked the call, so that a label given at the same instant either
        counts here or follows the order. Raises ErasureRefusedError.
        """
        if erasures.get(conn, call.id) is not None:
            raise ErasureRefusedError("the call is being erased already")
        found = None if call.closed_at is None else expiries(self._rules, expired.subject_of(conn, call))
        expiry = found.get(due.kind) if found else None
        if expiry is None or expiry.at > self._clock.now():
            raise ErasureRefusedError(f"{due.kind.value} is no longer due by {due.policy}")
        if policy_name(self._rules, due.kind, expiry) != due.policy:
            raise ErasureRefusedError(
                f"another rule than {due.policy} decides now; the next sweep applies it"
            )

    def _delete_audio(self, call: CallRow) -> dict[str, Json]:
        """The carrier's recordings, then our files, then their rows."""
        with self._database.read() as conn:
            there = recordings.at_carrier(conn, call.id)
            files = layers.of_call(conn, call.id)
        if there and not self._carrier.usable:
            raise StoreError(NO_CREDENTIALS)
        for sid in there:
            was_there = self._carrier.erase(sid).recording
            with self._database.write() as conn:
                deletions.record(conn, sid, call.id, self._clock.now(), was_there=was_there)
        for file in files:
            erase_file(self._blobs, file)
        with self._database.write() as conn:
            return expired.delete_layers(conn, call.id)

    def _delete_text(self, call: CallRow) -> dict[str, Json]:
        with self._database.write() as conn:
            return expired.delete_text(conn, call.id)

    def _delete_numbers(self, call: CallRow) -> dict[str, Json]:
        with self._database.write() as conn:
            return expired.delete_numbers(conn, call.id, sids_of(conn, call))


def preview(database: Database, rules: Sequence[Rule], until: datetime) -> list[Due]:
    """What the rules delete up to then, in the order of their dates, without what is deleted already."""
    days = shortest_days(rules)
    if days is None:
        return []
    with database.read() as conn:
        found = expired.subjects(conn, until - timedelta(days=days))
        gone = expired.done(conn)
        held = {row.call_id for row in holds.all_current(conn)}
    due: list[Due] = []
    for call_id, subject in found:
        dates = expiries(rules, subject)
        if DataKind.CALL in dates and dates[DataKind.CALL].at <= until:
            dates = {DataKind.CALL: dates[DataKind.CALL]}
        due += [
            Due(call_id, kind, expiry.at, policy_name(rules, kind, expiry), call_id in held)
            for kind, expiry in dates.items()
            if expiry.at <= until and (call_id, kind) not in gone
        ]
    return sorted(due, key=lambda one: (one.at, one.call_id))


def policy_name(rules: Sequence[Rule], kind: DataKind, expiry: Expiry) -> str:
    """A rule by its number and days, without its conditions: they may be a person's number."""
    return f"rule {rules.index(expiry.rule) + 1}: {kind.value}={expiry.rule.days[kind]}"


def totals(due: Sequence[Due]) -> list[tuple[str, int, int]]:
    """For each policy: how many calls lose data by it, and how many a legal hold keeps."""
    going, kept = Counter[str](), Counter[str]()
    for one in due:
        (kept if one.held else going)[one.policy] += 1
    return [(policy, going[policy], kept[policy]) for policy in sorted({*going, *kept})]


def expiry_summary(conn: Connection, rules: Sequence[Rule], call_id: CallId) -> dict[str, Json]:
    """When each kind of data of a call goes, and what is deleted already, in JSON; empty for a call without a verdict."""
    call = calls.get(conn, call_id)
    gone = expired.of_call(conn, call_id)
    if call is None or call.closed_at is None:
        return {"expires": {}, "expired": []}
    subject = expired.subject_of(conn, call)
    done = {row.kind for row in gone if row.done_at}
    return {
        "expires": {
            kind.value: {"at": json_time(expiry.at), "policy": policy_name(rules, kind, expiry)}
            for kind, expiry in expiries(rules, subject).items()
            if kind not in done
        },
        "expired": [expired_summary(row) for row in gone],
    }


def expired_summary(row: expired.ExpiredRow) -> dict[str, Json]:
    """One record of the report in JSON."""
    return {
        "call_id": row.call_id,
        "data": row.kind.value,
        "policy": row.policy,
        "ordered_at": json_time(row.ordered_at),
        "deleted_at": json_time(row.done_at),
        "files": row.files,
        "rows": row.counts,
    }
