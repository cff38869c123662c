"""Alerts of phrases that were not said in time, found in the final transcript of a call."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.phrases import PhraseError, PhraseRule, Trigger, is_missing
from callreel.domain.transcript import Turn, Word, words_of
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, pauses, phrase_alerts
from callreel.store.calls.calls import CallRow
from callreel.store.calls.pauses import PauseRow
from callreel.store.db.database import Database
from callreel.store.transcripts import phrase_rules

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckedRules:
    """The rules that were checked in a transcript, by their result."""

    missing: Collection[PhraseRule] = ()
    said: Collection[PhraseRule] = ()


class MissingPhrases:
    """Checks the enabled rules that were what they are before the call ended. Blocking; a repetition changes nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def check(self, call_id: CallId, turns: Sequence[Turn]) -> CheckedRules:
        """Look for each rule's phrases in the transcript of what was transcribed.

        A call that was not answered, without a word, has none missing; nor has one that was paused before the rule's time was over.
        """
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            rows = phrase_rules.enabled(conn, Trigger.MISSING)
            paused = pauses.of_call(conn, call_id)
        if call is None or (call.answered_at is None and not turns):
            return CheckedRules()
        rules = [row.rule for row in rows if call.ended_at is None or row.changed_at < call.ended_at]
        words = _words_by_role(call, turns)
        missing: list[PhraseRule] = []
        said: list[PhraseRule] = []
        for rule in rules:
            if not rule.concerns(call.remote_number):
                continue
            try:
                absent = is_missing(rule, rule.compiled(), words.__getitem__)
            except PhraseError as error:
                log.error("phrase rule not used rule=%d: %s", rule.id, error)
                continue
            if not absent:
                said.append(rule)
            elif not _paused_within(rule, paused):
                missing.append(rule)
        return CheckedRules(missing, said)

    def put(self, conn: Connection, call_id: CallId, checked: CheckedRules) -> list[LiveEvent]:
        """Save the alerts; their events are to be recorded in the same transaction."""
        call = calls.get(conn, call_id)
        if call is None:
            return []
        phrase_alerts.remove_missing(conn, call_id, [rule.id for rule in checked.said])
        now = self._clock.now()
        rows = [
            phrase_alerts.put(
                conn, call_id, rule, None if rule.role is None else call.displayed(rule.role),
                phrase_alerts.MISSING, now,
            )
            for rule in checked.missing
        ]  # fmt: skip
        return [row.event for row in rows if row is not None]


def _paused_within(rule: PhraseRule, paused: Sequence[PauseRow]) -> bool:
    """Whether a part of the rule's time may be silent. Pauses are placed in the live layers, which begin after the recording."""
    return any(
        rule.within_ms is None or pause.start_ms is None or pause.start_ms <= rule.within_ms
        for pause in paused
    )


def _words_by_role(call: CallRow, turns: Sequence[Turn]) -> dict[Role, list[Word]]:
    """What each party said, by displayed role."""
    words: dict[Role, list[Word]] = {role: [] for role in Role}
    for turn in turns:
        words[call.displayed(turn.role)] += words_of(turn)
    return words
