"""Search on each database, compared with the same query in plain Python."""

import random
from dataclasses import replace

import pytest
from sqlalchemy import delete, func, select

from callreel.domain.call import Role
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.store.calls import call_list, calls
from callreel.store.calls.call_list import CallFilter
from callreel.store.db.database import Database
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import turn_index
from callreel.store.db.types import cipher_of
from callreel.store.transcripts import search, transcripts
from callreel.store.transcripts.search_query import Query, hits, parse
from callreel.store.transcripts.search_tokens import tokens
from tests.support.rows import CALL, a_call, after

SAID = {
    "0": ("can you read me the pressure on the left gauge", "it says forty two"),
    "1": ("close the valve please", "the valve on the left, the gauge says nothing"),
    "2": ("send an e-mail to the café", "Straße 中文字 ひら"),
    "3": ("",),
}


def turn(text: str, start_ms: int = 0) -> Turn:
    words = tuple(
        Word(piece, start_ms + 100 * n, start_ms + 100 * n + 90) for n, piece in enumerate(text.split())
    )
    return Turn(Role.AGENT, start_ms, start_ms + 5000, text, None, words)


def say(
    database: Database, name: str, texts: tuple[str, ...], kind: TranscriptKind = TranscriptKind.FINAL
) -> CallId:
    call_id = CallId(f"{name:0>12}")
    with database.write() as conn:
        known = calls.get(conn, call_id)
    if known is None:
        a_call(database, id=call_id, leg_sid=LegSid(f"CA{name:0>32}"), created_at=after(int(name)))
    with database.write() as conn:
        turns = [turn(text, 10_000 * n) for n, text in enumerate(texts)]
        transcripts.put(conn, call_id, kind, "engine", "", turns)
    return call_id


def found(database: Database, typed: str, role: Role | None = None) -> str:
    with database.read() as conn:
        rows = call_list.page(conn, CallFilter(query=parse(typed, role)), 50)
    return "".join(row.id[-1] for row in rows)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("pressure", "0"),
        ("left", "10"),
        ("left gauge", "10"),
        ('"left gauge"', "0"),
        ("gaug*", "10"),
        ("left -valve", "0"),
        ("-left", "32"),
        ("E-MAIL", "2"),
        ("cafe", "2"),
        ("strasse", "2"),
        ("文字", "2"),
        ("字文", ""),
        ("pressure forty", "0"),
        ("", "3210"),
        ("'; DROP TABLE calls --", ""),
        ('a"b', ""),
        ("* ( ) : ^ -", ""),
    ],
)
def test_search_finds_calls(database: Database, typed: str, wanted: str) -> None:
    for name, texts in SAID.items():
        say(database, name, texts)
    assert found(database, typed) == wanted


def test_hits_start_at_the_matching_word(database: Database) -> None:
    call_id = say(database, "0", SAID["0"])
    with database.read() as conn:
        result = search.hits_of(conn, [call_id], parse("left forty"))[call_id]
    assert result.total == 2
    assert [hit.start_ms for hit in result.first] == [800, 10_200]
    assert [part.text for part in result.first[0].parts if part.hit] == ["left"]


def test_one_party_is_searched_on_request(database: Database) -> None:
    agent, technician = turn("close the left valve", 0), turn("the right valve is open", 9000)
    call_id = say(database, "0", ())
    with database.write() as conn:
        turns = [agent, replace(technician, role=Role.TECHNICIAN)]
        transcripts.put(conn, call_id, TranscriptKind.FINAL, "engine", "", turns)
    for typed, of_agent, of_technician in (
        ("valve", "0", "0"),
        ('"left valve"', "0", ""),
        ("righ*", "", "0"),
        ("left right", "", ""),
        ("-left", "", "0"),
        ("", "0", "0"),
    ):
        shown = (found(database, typed, Role.AGENT), found(database, typed, Role.TECHNICIAN))
        assert shown == (of_agent, of_technician), typed
    with database.read() as conn:
        for phrase in ("valve", '"valve"', "val*"):
            result = search.hits_of(conn, [call_id], parse(phrase, Role.TECHNICIAN))[call_id]
            assert (result.total, [hit.role for hit in result.first]) == (1, [Role.TECHNICIAN]), phrase


def test_hits_are_limited_and_counted(database: Database) -> None:
    call_id = say(database, "0", ("the valve",) * 8)
    other = say(database, "1", ("no such thing",))
    with database.read() as conn:
        result = search.hits_of(conn, [call_id, other], parse("valve"), most=3)
        assert search.hits_of(conn, [call_id], parse("-valve")) == {}
    assert list(result) == [call_id]
    assert (len(result[call_id].first), result[call_id].total) == (3, 8)


def test_final_transcript_replaces_the_live_one_in_the_index(database: Database) -> None:
    say(database, "0", ("the gorge",), TranscriptKind.LIVE)
    assert found(database, "gorge") == "0"
    say(database, "0", ("the gauge",))
    assert (found(database, "gorge"), found(database, "gauge")) == ("", "0")
    say(database, "0", ("the gouge",), TranscriptKind.LIVE)
    assert (found(database, "gouge"), found(database, "gauge")) == ("", "0")
    say(database, "0", ("a gauge again",))
    assert (found(database, "the"), found(database, "again")) == ("", "0")


def test_call_begins_with_its_first_three_turns(database: Database) -> None:
    texts = {
        "0": ("Hello.", "", "Good morning.", "later"),
        "1": ("word " * 30,),
        "2": ("",),
        "4": ("あ" * 120,),
    }
    ids = {say(database, name, said): name for name, said in texts.items()}
    with database.read() as conn:
        found = search.beginnings(conn, [*ids, CallId("f" * 12)])
    assert {ids[call_id]: text for call_id, text in found.items()} == {
        "0": "Hello. – Good morning.",
        "1": f"{('word ' * 16).strip()} …",
        "4": f"{'あ' * 80} …",
    }


def test_erased_call_is_not_found(database: Database) -> None:
    say(database, "0", SAID["0"])
    with database.write() as conn:
        conn.execute(delete(call_table))
        assert conn.execute(select(func.count()).select_from(turn_index)).scalar_one() == 0
        if database.dialect == "sqlite":
            conn.exec_driver_sql("INSERT INTO turn_fts(turn_fts, rank) VALUES ('integrity-check', 1)")
    a_call(database)
    assert found(database, "pressure") == ""
    assert found(database, "") == CALL.id[-1]


def test_search_agrees_with_plain_python(database: Database) -> None:
    """Random texts and queries from a small vocabulary, so that phrases, beginnings and refusals happen."""
    chance = random.Random(7)
    vocabulary = [
        "val",
        "valve",
        "valves",
        "e-mail",
        "café",
        "Über",
        "中文",
        "文",
        "x_y",
        "don't",
        "42",
        "ひら",
        "a",
    ]
    said = {
        str(n): tuple(" ".join(chance.choices(vocabulary, k=chance.randint(0, 6))) for _ in range(3))
        for n in range(10)
    }
    for name, texts in said.items():
        say(database, name, texts)
    for _ in range(150):
        typed = " ".join(
            chance.choice(["", "", "-", '"', "-'"])
            + chance.choice(vocabulary)
            + chance.choice(["", "", "*", '"'])
            for _ in range(chance.randint(1, 3))
        )
        query = parse(typed)
        if cipher_of(database._writer.dialect):  # a short prefix is a whole word
            clauses = (replace(c, prefix=c.prefix and len(c.tokens[-1]) > 2) for c in query.clauses)
            query = replace(query, clauses=tuple(clauses))
        wanted = "".join(sorted((n for n, texts in said.items() if holds(query, texts)), reverse=True))
        assert found(database, typed) == wanted, typed


def holds(query: Query, texts: tuple[str, ...]) -> bool:
    return all(
        any(hits(tokens(text), [clause]) for text in texts) is not clause.negated for clause in query.clauses
    )
