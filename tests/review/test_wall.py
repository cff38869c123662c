"""The live calls of the wall."""

import pytest

from callreel.domain.call import CallState, Role
from callreel.domain.consent import Answer, Mode, Stamp
from callreel.domain.ids import CallId, LegSid
from callreel.domain.pause import PauseCause
from callreel.domain.transcript import Final, Segment, Word
from callreel.review.wall import live_calls
from callreel.store.calls import calls, consents, pauses, phrase_alerts
from callreel.store.db.database import Database
from callreel.store.transcripts import finals
from tests.support.installation import Installation
from tests.support.rows import NOON, a_call, a_rule, after

FIRST, SECOND, ENDED = CallId("000000000001"), CallId("000000000002"), CallId("000000000003")


@pytest.fixture
def database(installation: Installation) -> Database:
    """Two live calls, of ada and of kim, and one that has ended."""
    for number, (call_id, agent) in enumerate(((FIRST, "ada"), (SECOND, "kim"), (ENDED, "ada"))):
        leg = LegSid(f"CA{number:032x}")
        a_call(installation.database, id=call_id, agent=agent, leg_sid=leg, created_at=after(number))
    with installation.database.write() as conn:
        calls.set_state(conn, ENDED, CallState.ENDED, after(9))
    return installation.database


def say(database: Database, number: int, text: str) -> None:
    words = tuple(Word(word, number, number + 1) for word in text.split())
    with database.write() as conn:
        finals.put(
            conn, FIRST, Final(Segment(Role.AGENT, number, 1_000 * number, 1_000 * number + 900), words)
        )


def test_wall_has_the_live_calls_oldest_first_and_agents_their_own(database: Database) -> None:
    with database.read() as conn:
        assert [call["call_id"] for call in live_calls(conn, None)] == [FIRST, SECOND]
        assert [call["call_id"] for call in live_calls(conn, "kim")] == [SECOND]


def test_row_has_last_words_alerts_and_pause(database: Database) -> None:
    say(database, 0, "hello")
    say(database, 1, "a refund please")
    rule = a_rule(database).rule
    with database.write() as conn:
        phrase_alerts.put(conn, FIRST, rule, Role.AGENT, "agent-1", NOON, (1_100, 1_200))
        pauses.begin(conn, FIRST, PauseCause.PERSON, "sam", NOON)
    with database.read() as conn:
        first, second = live_calls(conn, None)
    assert first["last_words"] == {"role": "agent", "text": "a refund please"}
    assert first["recording"] == "paused" and second["recording"] == "recording"
    assert [alert["rule"] for alert in first["alerts"]] == ["Refund"]  # type: ignore[union-attr, index, call-overload]
    assert (second["last_words"], second["alerts"]) == (None, [])


def test_row_has_the_newest_alerts_and_their_number(database: Database) -> None:
    rule, other = a_rule(database).rule, a_rule(database, name="Other").rule
    with database.write() as conn:
        for segment in range(1, 6):
            phrase_alerts.put(conn, FIRST, rule, Role.AGENT, f"agent-{segment}", NOON, (segment, segment + 1))
        phrase_alerts.put(conn, SECOND, other, Role.AGENT, "agent-1", NOON, (7, 8))
    with database.read() as conn:
        first, second = live_calls(conn, None)
    starts = [[alert["start_ms"] for alert in call["alerts"]] for call in (first, second)]  # type: ignore[union-attr, index, call-overload]
    assert starts == [[3, 4, 5], [7]]
    assert (first["alerts_total"], second["alerts_total"]) == (5, 1)


@pytest.mark.parametrize(
    ("mode", "answer", "shown"),
    [
        (Mode.OFF, None, "off"),
        (Mode.ASK, None, "waiting"),
        (Mode.ASK, Answer.DECLINED, "off"),
        (Mode.ASK, Answer.GRANTED, "recording"),
    ],
)
def test_row_says_whether_the_call_is_recorded(
    database: Database, mode: Mode, answer: Answer | None, shown: str
) -> None:
    with database.write() as conn:
        consents.insert(conn, Stamp(call_id=FIRST, mode=mode, policy_version=1, answer=answer))
    with database.read() as conn:
        assert live_calls(conn, None)[0]["recording"] == shown
