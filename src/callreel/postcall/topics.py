"""Gives each call its topic and the kinds of its moments, soon after its searchable text changed: by a transcript, a correction or a redaction.

The rules are in `insight/topic.py`. How many other calls have a word is counted in the search index, so nothing else keeps
words of erased calls, and with encryption only keyed tokens are compared.
"""

import logging

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.insight.common_words import LANGUAGE
from callreel.insight.moment_kind import MomentKind
from callreel.insight.moments import find_moments
from callreel.insight.topic import candidates, topic_of
from callreel.redaction.masking import masked_turns
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from callreel.store.insight import topics
from callreel.store.transcripts import redactions, revisions, search

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Calls of one sweep, so that a history that was imported does not occupy the database for long."""
RETRY_S = 600.0
"""After which a call that could not be read is read again."""


class Topics:
    """Blocking; harmless when several processes run it."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._after = ""
        self._retry_at_s: dict[CallId, float] = {}

    def sweep(self) -> int:
        """Find the topics of calls that wait for theirs; returns how many calls got a result.

        A call that cannot be read stays due and stops no other one: each sweep continues after the last call of the one before.
        """
        with self._database.read() as conn:
            due = topics.due(conn, AT_ONCE, self._after)
        self._after = due[-1][0] if len(due) == AT_ONCE else ""
        return sum(self._tried(call_id, version) for call_id, version in due)

    def _tried(self, call_id: CallId, version: int) -> bool:
        now_s = self._clock.monotonic_s()
        if self._retry_at_s.get(call_id, now_s) > now_s:
            return False
        try:
            self._find(call_id, version)
        except Exception as error:
            # Without its message, which may quote the text.
            log.warning("finding a topic failed error=%s", type(error).__name__, extra={"call_id": call_id})
            self._retry_at_s[call_id] = now_s + RETRY_S
            return False
        self._retry_at_s.pop(call_id, None)
        return True

    def _find(self, call_id: CallId, version: int) -> None:
        kinds: set[MomentKind] = set()
        with self._database.read() as conn:
            shown = revisions.shown(conn, call_id)
            language = shown.machine.language if shown else ""
            turns = search.indexed_turns(conn, call_id)
            if shown is not None and turns:  # none while the call awaits redaction
                masked = masked_turns(shown.turns, redactions.in_force(conn, call_id))
                kinds = {moment.kind for moment in find_moments(masked, language)}
            found = candidates(turns, language)
            text = None
            if found is not None:
                in_calls, others = search.in_other_calls(
                    conn, call_id, [found.spoken[stem] for stem in found.weights]
                )
                text = topic_of(found, in_calls, others)
        with self._database.write() as conn:
            if not topics.put(conn, call_id, version, text, kinds) or language != LANGUAGE:
                return
            # Without words: the event outlives a correction. Pages read the topic again, and the moments.
            data = {"topic": text is not None}
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, data))
        self._publisher.publish(event)
