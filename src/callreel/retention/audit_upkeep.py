"""The audit trail's own jobs: accesses that have ended become entries, old entries are removed, settings are compared.

The newest entry's number and digest are logged once a day: a log elsewhere then proves that none was removed from the end.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.events import Json
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.audit import accesses, trail
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
_LOG_EVERY: Final = timedelta(days=1)


class AuditUpkeep:
    """Blocking."""

    def __init__(self, database: Database, clock: Clock, *, days: int | None) -> None:
        """`days`: how long entries are kept; None is for ever."""
        self._database = database
        self._clock = clock
        self._keep = None if days is None else timedelta(days=days)
        self._logged_at: datetime | None = None

    def job(self, leads: Callable[[], bool]) -> PeriodicJob:
        """Of all servers, the one for which `leads` is true does the work."""
        return PeriodicJob(name="audit-trail", job=self.run, interval_s=EVERY_S, enabled=leads)

    def run(self) -> None:
        now = self._clock.now()
        accesses.settle(self._database, now - accesses.OPEN_FOR)
        if self._keep is not None:
            with self._database.write() as conn:
                removed = trail.trim(conn, now - self._keep, now)
            if removed:
                log.info("audit entries removed entries=%d", removed)
        if self._logged_at is None or now - self._logged_at >= _LOG_EVERY:
            with self._database.read() as conn:
                log.info("audit trail newest=%s", trail.head(conn))
            self._logged_at = now

    def compare_settings(self, settings: Mapping[str, str]) -> None:
        """Record the settings that differ from those of the last start; `settings` has those that are not defaults,
        with secrets masked.
        """
        current: dict[str, Json] = dict(settings)
        with self._database.write() as conn:
            last = trail.newest(conn, AuditAction.SETTINGS_CHANGED)
            known = last.details["settings"] if last is not None else {}
            before = known if isinstance(known, Mapping) else {}
            changed = sorted(name for name in {*before, *current} if before.get(name) != current.get(name))
            if last is None or changed:
                details: dict[str, Json] = {"changed": changed, "settings": current}
                event = AuditEvent(self._clock.now(), AuditAction.SETTINGS_CHANGED, "server", details=details)
                trail.record(conn, event)
