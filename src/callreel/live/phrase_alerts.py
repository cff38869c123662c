"""Raises the alerts of phrase rules on what is said in the live calls of this process."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.ids import CallId
from callreel.domain.phrases import PhraseError, PhraseRule, Trigger
from callreel.live.phrase_watch import Match, PhraseWatch, Watched
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.calls import calls, pauses, phrase_alerts
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_until_stored
from callreel.store.transcripts import phrase_rules

log = logging.getLogger(__name__)

REFRESH_S: Final = 2.0
"""After which a changed rule is in force."""
MOST_ALERTS: Final = 200
"""Of one call: a rule for a common word must not flood the call's page and the receivers of webhooks."""


@dataclass(slots=True)
class _Known:
    """What is known of a call without reading it: its other number once it was read, and its alerts."""

    number: str | None = None
    stored: int = 0
    storing: int = 0

    def drops(self, rule: PhraseRule) -> bool:
        """Whether an alert of this rule would not be stored, so that it needs no transaction."""
        full = self.stored + self.storing >= MOST_ALERTS
        return full or (self.number is not None and not rule.concerns(self.number))


class PhraseAlerts:
    """For one event loop. An alert and its event are one transaction. What was said in a pause raises none."""

    def __init__(self, commits: GroupCommit, clock: Clock) -> None:
        self._commits = commits
        self._clock = clock
        self._rules: dict[int, PhraseRule] = {}
        self._storing: set[asyncio.Task[None]] = set()
        self._known: dict[CallId, _Known] = {}
        self.watch = PhraseWatch[int]({}, self._said, over=lambda call_id: self._known.pop(call_id, None))
        self.refreshing = PeriodicJob(
            name="read-phrase-rules", job=self.refresh, interval_s=REFRESH_S, jitter=0.2, immediately=True
        )

    def refresh(self) -> None:
        """Read the rules, and compile them if they changed. Blocking."""
        with self._commits.database.read() as conn:
            rules = {row.id: row.rule for row in phrase_rules.enabled(conn, Trigger.SAID)}
        if rules == self._rules:
            return
        watched: dict[int, Watched] = {}
        for rule in rules.values():
            try:
                watched[rule.id] = rule.compiled(), rule.role
            except PhraseError as error:
                log.error("phrase rule not used rule=%d: %s", rule.id, error)
        self._rules = rules
        self.watch.watched = watched

    async def close(self) -> None:
        """Wait for alerts that are being stored, `SHUT_DOWN_S` at most."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=SHUT_DOWN_S)
        for task in (left := list(self._storing)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _said(self, rule_id: int, match: Match) -> None:
        if (rule := self._rules.get(rule_id)) is None:
            return  # removed at this moment
        known = self._known.setdefault(match.call_id, _Known())
        if known.drops(rule):
            return
        known.storing += 1
        task = asyncio.get_running_loop().create_task(self._raise(rule, match, known))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _raise(self, rule: PhraseRule, match: Match, known: _Known) -> None:
        def write(conn: Connection) -> tuple[_Known, Written]:
            call = calls.get(conn, match.call_id)
            if call is None:
                return _Known(), Written()
            read = _Known(call.remote_number, phrase_alerts.count(conn, call.id))
            span_ms = match.start_ms, match.end_ms
            if read.drops(rule) or pauses.during(conn, call.id, *span_ms):
                return read, Written()
            place = f"{match.role}-{match.number}"
            row = phrase_alerts.put(conn, call.id, rule, match.role, place, self._clock.now(), span_ms)
            if row is None:
                return read, Written()
            read.stored += 1
            return read, Written((row.event,))

        try:
            read = await retry_until_stored("a phrase alert", lambda: self._commits.commit_returning(write))
        finally:
            known.storing -= 1
        known.number, known.stored = read.number, max(known.stored, read.stored)
