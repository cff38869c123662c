"""The topics of calls as rows: found after each change of the text, never with words that are hidden or erased."""

from collections.abc import Iterator

import pytest
from sqlalchemy import String, select, type_coerce, update

from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId, LegSid
from callreel.domain.redaction import Entity, RedactionPolicy, Stretch
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.insight.moment_kind import MomentKind
from callreel.postcall.topics import RETRY_S, Topics
from callreel.review.redacting import Redacting, RedactionOptions
from callreel.runtime.clock import Clock
from callreel.store.calls import call_list, erasures, expired, live_events
from callreel.store.calls.call_list import CallFilter
from callreel.store.db.database import Database
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import topics as table
from callreel.store.db.tables import turn_index
from callreel.store.db.types import cipher_of
from callreel.store.insight import topics
from callreel.store.transcripts import redactions, revisions, search, transcripts
from callreel.store.transcripts.transcripts import Provenance
from tests.support.encryption import MASTER, keyring_of
from tests.support.installation import SteppedClock
from tests.support.rows import CALL, NOON, a_call, after

FILLER = "okay so then let me see what we can do about it right now " * 6
ROUTER = ("the router is down", "which router do you mean", "my router at the office")
BOILER = ("the boiler leaks", "did you say boiler", "boiler yes")


@pytest.fixture
def bus() -> Iterator[EventBus]:
    opened = EventBus()
    yield opened
    opened.close()


@pytest.fixture
def publisher(database: Database, bus: EventBus) -> EventPublisher:
    return EventPublisher(database, bus, Clock())


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def stage(database: Database, publisher: EventPublisher, clock: SteppedClock) -> Topics:
    return Topics(database, publisher, clock)


def say(database: Database, call_id: CallId, *texts: str, language: str = "en", run: str = "") -> None:
    """Save a final transcript; each turn lasts a second, the filler comes first."""
    turns = [
        Turn(list(Role)[n % 2], 1_000 * n, 1_000 * n + 1_000, text, None)
        for n, text in enumerate((FILLER, *texts))
    ]
    with database.write() as conn:
        transcripts.put(
            conn, call_id, TranscriptKind.FINAL, "engine", "", turns, Provenance(run, language=language)
        )


def another(database: Database, number: int, *texts: str) -> CallId:
    call_id = CallId(f"{number:0>12}")
    a_call(database, id=call_id, leg_sid=LegSid(f"CA{number:0>32}"), created_at=after(number))
    say(database, call_id, *texts)
    return call_id


def topic(database: Database, call_id: CallId = CALL.id) -> str | None:
    with database.read() as conn:
        return topics.of_calls(conn, [call_id]).get(call_id)


def test_call_gets_its_topic_and_an_event(database: Database, stage: Topics) -> None:
    a_call(database)
    say(database, CALL.id, *ROUTER)
    assert topic(database) is None
    assert (stage.sweep(), stage.sweep()) == (1, 0)
    assert topic(database) == "router"
    with database.read() as conn:
        [event] = [one for one in live_events.after(conn, CALL.id, 0, 100) if one.kind is EventKind.CALL]
    assert event.data == {"topic": True}, "without words: events outlive a correction"


def test_another_transcript_replaces_the_topic(database: Database, stage: Topics) -> None:
    a_call(database)
    say(database, CALL.id, *ROUTER)
    stage.sweep()
    say(database, CALL.id, *BOILER, run="again")
    assert topic(database) is None, "never one of another text"
    stage.sweep()
    assert topic(database) == "boiler"
    with database.read() as conn:
        events = live_events.last_id(conn)
    say(database, CALL.id, *BOILER, run="german", language="de")
    assert (stage.sweep(), topic(database)) == (1, None)
    with database.read() as conn:
        assert live_events.last_id(conn) == events


def test_redacted_words_leave_the_topic_at_once(
    database: Database, stage: Topics, publisher: EventPublisher
) -> None:
    a_call(database)
    say(database, CALL.id, *ROUTER, *BOILER)
    stage.sweep()
    assert topic(database) == "router, boiler"
    with database.write() as conn:
        conn.execute(call_table.update().values(ended_at=NOON))
    redacting = Redacting(database, publisher, Clock(), RedactionOptions(RedactionPolicy.KEEP_BOTH))
    for role in Role:
        redacting.add(CALL.id, Stretch(role, Entity.OTHER, 1_000, 4_000), "sam")
    assert topic(database) is None
    stage.sweep()
    assert topic(database) == "boiler"


def test_topic_of_a_text_that_changed_meanwhile_is_not_saved(database: Database) -> None:
    a_call(database)
    say(database, CALL.id, *ROUTER)
    with database.write() as conn:
        [(call_id, version)] = topics.due(conn, 10)
        search.index_turns(conn, CALL.id, [])
        assert not topics.put(conn, call_id, version, "router")
        assert topics.due(conn, 10) == [(CALL.id, version + 1)]
    assert topic(database) is None


def test_words_count_in_other_calls_until_these_are_erased(database: Database, stage: Topics) -> None:
    a_call(database)
    say(database, CALL.id, "the account of the router", "router account", "account router please")
    others = [another(database, number, "the account") for number in range(1, 13)]
    stage.sweep()
    assert topic(database) == "router"
    with database.read() as conn:
        assert search.in_other_calls(conn, CALL.id, ["account", "router"]) == (
            {"account": 12, "router": 0},
            12,
        )
    with database.write() as conn:
        for other in others[:6]:
            expired.delete_text(conn, other)
        for other in others[6:]:
            erasures.delete_call(conn, other, [], {}, NOON)
        assert search.in_other_calls(conn, CALL.id, ["account", "router"]) == ({"account": 0, "router": 0}, 0)
        topics.set_due(conn, CALL.id)
    stage.sweep()
    assert topic(database) == "account, router"


def test_only_the_newest_turns_are_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 5):
        another(database, number, "the router")
    monkeypatch.setattr(search, "NEWEST_TURNS", 4)  # two calls, with the filler
    with database.read() as conn:
        assert search.in_other_calls(conn, CALL.id, ["router"]) == ({"router": 2}, 2)


def test_topic_is_sealed_and_deleted_with_the_text(database: Database, stage: Topics) -> None:
    a_call(database)
    say(database, CALL.id, *ROUTER)
    stage.sweep()
    with database.read() as conn:
        stored = str(conn.execute(select(type_coerce(table.c.text, String))).scalar_one())
        assert ("router" in stored) == (cipher_of(conn.dialect) is None)
    with database.write() as conn:
        assert expired.delete_text(conn, CALL.id)["topics"] == 1
    assert topic(database) is None


def test_kinds_of_moments_select_calls_until_the_text_changes(database: Database, stage: Topics) -> None:
    a_call(database)
    say(database, CALL.id, "Thank you so much for it.", "I will send you the form.", "It is disappointing.")
    other = another(database, 1, "Thank you so much for it.")

    def found(kind: MomentKind) -> list[CallId]:
        with database.read() as conn:
            return [row.id for row in call_list.page(conn, CallFilter(moment=kind), 10)]

    assert found(MomentKind.THANKS) == []
    stage.sweep()
    assert set(found(MomentKind.THANKS)) == {CALL.id, other}
    assert found(MomentKind.PROMISE) == found(MomentKind.COMPLAINT) == [CALL.id]
    assert found(MomentKind.QUESTION) == []
    with database.write() as conn:
        redactions.add(conn, CALL.id, Stretch(Role.AGENT, Entity.OTHER, 2_000, 3_000), "sam", NOON)
        shown = revisions.shown(conn, CALL.id)
        assert shown is not None
        search.index_turns(conn, CALL.id, shown.turns)
    assert found(MomentKind.PROMISE) == found(MomentKind.COMPLAINT) == []
    stage.sweep()
    assert (found(MomentKind.PROMISE), found(MomentKind.COMPLAINT)) == ([], [CALL.id])
    with database.write() as conn:
        assert expired.delete_text(conn, CALL.id)["call_moments"] == 2
    assert found(MomentKind.COMPLAINT) == []


def test_without_a_search_index_the_call_alone_gives_its_topic(database: Database, stage: Topics) -> None:
    keyring = keyring_of(database, MASTER)
    database.use_cipher(keyring.text_cipher(searchable=False))
    a_call(database)
    say(database, CALL.id, *ROUTER)
    with database.read() as conn:
        assert search.in_other_calls(conn, CALL.id, ["router"]) == ({}, 0)
    stage.sweep()
    assert topic(database) == "router"


def test_unreadable_call_stops_no_other_and_is_tried_again(
    database: Database, stage: Topics, clock: SteppedClock, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first, second, third = (another(database, number, *ROUTER) for number in (1, 2, 3))
    keyring_of(database, MASTER)
    with database.write() as conn:
        cipher = cipher_of(conn.dialect)
        assert cipher is not None
        damaged = type_coerce(cipher.seal("router", "another column"), String)
        conn.execute(update(turn_index).where(turn_index.c.call_id == first).values(text=damaged))
    monkeypatch.setattr("callreel.postcall.topics.AT_ONCE", 1)
    for _ in range(6):
        stage.sweep()
    assert [topic(database, one) for one in (first, second, third)] == [None, "router", "router"]
    assert [record.getMessage() for record in caplog.records if "topic" in record.getMessage()] == [
        "finding a topic failed error=StoreError"
    ], "it is not tried in each sweep"
    say(database, first, *BOILER)
    clock.step(RETRY_S)
    for _ in range(2):
        stage.sweep()
    assert topic(database, first) == "boiler"
