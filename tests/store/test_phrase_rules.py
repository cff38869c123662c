"""Phrase rules and their alerts as rows, on both databases, plain and encrypted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import delete

from callreel.domain.call import Role
from callreel.domain.pause import PauseCause
from callreel.domain.phrases import PhraseKind, Trigger
from callreel.store.calls import pauses, phrase_alerts
from callreel.store.db.database import Database
from callreel.store.db.tables import calls
from callreel.store.transcripts import phrase_rules
from tests.support.rows import CALL, NOON, a_call, a_rule

both = pytest.mark.parametrize(
    "database", ["sqlite", "postgresql", "sqlite encrypted", "postgresql encrypted"], indirect=True
)

RULE: dict[str, Any] = {
    "name": "Refund", "kind": PhraseKind.WORDS, "phrases": ("refund",), "role": None, "number_prefix": "",
    "trigger": Trigger.SAID, "within_ms": None, "enabled": True,
}  # fmt: skip


@both
def test_rule_is_read_as_it_was_written(database: Database) -> None:
    said = a_rule(database, phrases=("refund*", "été"), role=Role.AGENT, number_prefix="+33")
    missing = a_rule(database, trigger=Trigger.MISSING, within_ms=30_000, kind=PhraseKind.REGEX)
    with database.write() as conn:
        assert phrase_rules.all_rules(conn) == [said, missing]
        assert phrase_rules.enabled(conn, Trigger.SAID) == [said]
        later = NOON + timedelta(hours=1)
        changed = phrase_rules.change(conn, said.id, {"enabled": False, "phrases": ("x",)}, later)
        assert changed is not None and (changed.enabled, changed.phrases) == (False, ("x",))
        assert (changed.at, changed.changed_at) == (said.changed_at, later) == (NOON, later)
        assert phrase_rules.enabled(conn, Trigger.SAID) == []
        phrase_rules.remove(conn, said.id)
        assert phrase_rules.get(conn, said.id) is None
    assert a_rule(database).id > missing.id


@pytest.mark.parametrize("database", ["postgresql encrypted"], indirect=True)
def test_changes_of_rules_wait_for_each_other(database: Database) -> None:
    together = Barrier(4)

    def add_first(number: int) -> bool:
        with database.write() as conn:
            together.wait(10)
            phrase_rules.lock(conn)
            first = not phrase_rules.all_rules(conn)
            if first:
                phrase_rules.add(conn, RULE, f"person {number}", NOON)
            return first

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(add_first, range(4))) == [False, False, False, True]


@both
def test_alert_is_stored_once_a_place_and_erased_with_its_call(database: Database) -> None:
    a_call(database)
    rule = a_rule(database).rule
    with database.write() as conn:
        for place in ("agent-0", "agent-0", "agent-1", phrase_alerts.MISSING):
            phrase_alerts.put(conn, CALL.id, rule, Role.AGENT, place, NOON, (100, 200))
        assert [row.place for row in phrase_alerts.of_call(conn, CALL.id)] == [
            "agent-0",
            "agent-1",
            "missing",
        ]
        phrase_alerts.remove_missing(conn, CALL.id, [rule.id])
        assert len(phrase_alerts.of_call(conn, CALL.id)) == 2
        conn.execute(delete(calls).where(calls.c.id == CALL.id))
        assert phrase_alerts.of_call(conn, CALL.id) == []


@both
def test_pause_covers_what_it_silences(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        pause, _ = pauses.begin(conn, CALL.id, PauseCause.PERSON, "sam", NOON)
        assert pause is not None and pauses.paused(conn, [CALL.id]) == {CALL.id}
        assert not pauses.during(conn, CALL.id, 0, 9_000)  # not placed yet
        pauses.change(conn, pause.id, start_ms=1_000)
        spans = ((0, 1_000), (900, 1_100), (5_000, 6_000))
        assert [pauses.during(conn, CALL.id, *span) for span in spans] == [False, True, True]
        pauses.change(conn, pause.id, end_ms=5_000, ended_at=NOON)
        assert [pauses.during(conn, CALL.id, *span) for span in spans] == [False, True, False]
        assert pauses.paused(conn, [CALL.id]) == set()
