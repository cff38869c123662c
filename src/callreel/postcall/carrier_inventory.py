"""Compares the carrier's whole list of recordings with ours, and saves what is missing on our side.

`reconciliation.py` looks up single calls soon after they end. This reads the list of the last days, so that a day without
callbacks, or a database restored from yesterday's backup, ends with nothing missing.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError
from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, from_file
from callreel.postcall.recording_reports import save_report
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, deletions, facts, legs, recordings
from callreel.store.db.database import Database
from callreel.twilio.rest_resources import RecordingResource

log = logging.getLogger(__name__)

NOT_THERE = "recording_not_at_carrier"
_SETTLED = frozenset(CloudState) - {CloudState.EXPECTED, CloudState.IN_PROGRESS, CloudState.MISSING}


@dataclass(slots=True)
class Review:
    """`listed`: all recordings that the carrier has. `foreign`: those of calls that are not ours. `taken_in`: those of our
    calls that were missing or not settled here. `not_there`: ours that the carrier no longer lists, and that we did not
    delete."""

    listed: int = 0
    foreign: int = 0
    taken_in: list[RecordingSid] = field(default_factory=list)
    not_there: list[RecordingSid] = field(default_factory=list)


class CarrierList:
    """Blocking; one transaction for each recording that is saved."""

    def __init__(
        self, database: Database, publisher: EventPublisher, carrier: CarrierRecordings, clock: Clock
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._carrier = carrier
        self._clock = clock

    def review(self, days: int, *, dry_run: bool = False) -> Review:
        """Compare the recordings of the last `days`. Raises CarrierError."""
        since = self._clock.now() - timedelta(days=days)
        found, seen = Review(), set[RecordingSid]()
        for listed in self._carrier.since(since.date()):
            found.listed += 1
            seen.add(listed.sid)
            self._listed(listed, found, dry_run)
        if not dry_run:
            # The rest of the review, and the deletion after it, do not need prices.
            try:
                self._save_leg_prices(since)
            except CarrierError as error:
                log.warning("listing legs for their prices failed: %s", error)
        for sid in self._ours(since) - seen:
            found.not_there.append(sid)
            if not dry_run:
                self._note_absence(sid)
        return found

    def _listed(self, listed: RecordingResource, found: Review, dry_run: bool) -> None:
        with self._database.read() as conn:
            call = calls.by_leg(conn, listed.leg_sid)
            known = recordings.get(conn, listed.sid)
        if known is not None and known.price is None and not dry_run:
            self._save_price(listed)
        if call is None:
            found.foreign += 1
        elif listed.cloud_state in _SETTLED and (known is None or known.state not in _SETTLED):
            found.taken_in.append(listed.sid)
            if not dry_run:
                row = recordings.reported(listed, call, self._clock.now())
                if save_report(self._database, self._publisher, row):
                    log.warning("took in a recording without a callback", extra={"call_id": call.id})

    def _save_price(self, listed: RecordingResource) -> None:
        """The carrier rates a recording some time after it is completed."""
        if listed.charged is not None and listed.price_unit is not None:
            with self._database.write() as conn:
                recordings.set_price(conn, listed.sid, listed.charged, listed.price_unit)

    def _save_leg_prices(self, since: datetime) -> None:
        """Save the prices of ended legs that have none; lists only the days on which they began."""
        with self._database.read() as conn:
            unpriced = legs.unpriced(conn, since)
        for day in sorted(set(unpriced.values())):
            priced = [leg for leg in self._carrier.legs_of_day(day) if leg.sid in unpriced]
            with self._database.write() as conn:
                for leg in priced:
                    if leg.charged is not None and leg.price_unit is not None:
                        legs.set_price(conn, leg.sid, leg.charged, leg.price_unit)

    def _ours(self, since: datetime) -> set[RecordingSid]:
        """Recordings that the carrier should list: it had them, they began well within the time, and were not deleted."""
        with self._database.read() as conn:
            gone = {row.sid for row in deletions.all_deletions(conn)}
            recent = [
                call
                for call in calls.since(conn, since + timedelta(days=1))
                if call.state is not CallState.LIVE
            ]
            rows = [row for call in recent for row in recordings.of_call(conn, call.id)]
        return {
            row.sid for row in rows if row.state in recordings.AT_CARRIER and not from_file(row.sid)
        } - gone

    def _note_absence(self, sid: RecordingSid) -> None:
        with self._database.write() as conn:
            row = recordings.get(conn, sid)
            if row is None or any(
                fact.kind == NOT_THERE and fact.data.get("recording_sid") == sid
                for fact in facts.of_call(conn, row.call_id)
            ):
                return
            facts.note(conn, NOT_THERE, {"recording_sid": sid}, self._clock.now(), row.call_id)
        log.warning("the carrier no longer lists a recording of ours", extra={"call_id": row.call_id})
