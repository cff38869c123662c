"""Words are aligned and tokens of long texts are taken before the transaction that stores them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Final, Segment, TranscriptKind, Word
from callreel.live import transcript
from callreel.live.transcript import LiveText, OutdatedTextError, live_text, put_final, save_live_transcript
from callreel.review import live_score, turn_edits
from callreel.review.corrections import Corrections
from callreel.review.redacting import Redacting, RedactionOptions
from callreel.review.turn_edits import Change
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from callreel.store.transcripts import finals, live_scores, search, spilled, transcripts
from tests.support.seed import DONE, Seed, seed

COSTLY = ((search, "tokens"), (turn_edits, "opcodes"), (live_score, "live_score"))


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seed]:
    """The seeded installation, in which costly work fails in a thread that has the writing transaction."""
    writing: set[int] = set()
    write = Database.write

    @contextmanager
    def noted(self: Database) -> Iterator[Connection]:
        with write(self) as conn:
            writing.add(threading.get_ident())
            try:
                yield conn
            finally:
                writing.discard(threading.get_ident())

    def before_only(work: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*args: Any, **kwargs: Any) -> Any:
            assert threading.get_ident() not in writing, f"{work.__name__} in a writing transaction"
            return work(*args, **kwargs)

        return checked

    place = seed(tmp_path)
    monkeypatch.setattr(Database, "write", noted)
    for module, name in COSTLY:
        monkeypatch.setattr(module, name, before_only(getattr(module, name)))
    yield place
    place.bus.close()
    place.database.close()


def publisher(place: Seed) -> EventPublisher:
    return EventPublisher(place.database, place.bus, Clock())


def test_guard_notices_costly_work(done: Seed) -> None:
    with pytest.raises(AssertionError, match="in a writing transaction"), done.database.write() as conn:
        search.stored_tokens(conn, "some words")


def test_correction_and_redactions_work_before_their_transactions(done: Seed) -> None:
    clock = Clock()
    corrections = Corrections(done.database, publisher(done), clock)
    corrections.correct(DONE, 0, [Change(turn=0, text="good evening this is the service desk")], "sam")
    redacting = Redacting(done.database, publisher(done), clock, RedactionOptions())
    row = redacting.add(DONE, Stretch(Role.AGENT, Entity.OTHER, 0, 2_000), "sam")
    assert redacting.remove(DONE, row.id, "sam")
    redacting.find(DONE)


def final(number: int, text: str) -> Final:
    words = tuple(
        Word(word, 10_000 * number + 100 * at, 10_000 * number + 100 * at + 90)
        for at, word in enumerate(text.split())
    )
    return Final(Segment(Role.AGENT, number, 10_000 * number, 10_000 * number + 900), words)


def test_last_spilled_final_stores_a_text_that_was_merged_before(done: Seed) -> None:
    with done.database.write() as conn:
        known = finals.count(conn, DONE)
        for number in (100, 101):
            spilled.put(conn, DONE, final(number, "").segment)
        put_final(conn, DONE, final(100, "first words"), ended=True, engine="quick")
    with pytest.raises(OutdatedTextError), done.database.write() as conn:
        put_final(conn, DONE, final(101, "last words"), ended=True, engine="quick")
    text = live_text(done.database, DONE, final(101, "last words"))
    assert text.finals == known + 2
    with done.database.write() as conn:
        assert spilled.count(conn, DONE) == 1, "the refused transaction left the segment"
        put_final(conn, DONE, final(101, "last words"), ended=True, engine="quick", text=text)
        stored = transcripts.latest(conn, DONE, TranscriptKind.LIVE)
        score = live_scores.of_call(conn, DONE)
    assert stored is not None and stored.turns[-1].text.endswith("last words")
    assert score is not None and score.words, "the score is saved with the text"
    save_live_transcript(done.database, publisher(done), DONE, "quick")


def test_final_stored_during_the_merge_is_not_lost(done: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    merge, late = transcript.live_text, [final(100, "the last words")]

    def merge_slowly(database: Database, call_id: CallId, last: Final | None = None) -> LiveText:
        text = merge(database, call_id, last)
        while late:  # another process decodes the last spilled segment meanwhile
            with database.write() as conn:
                finals.put(conn, call_id, late.pop())
        return text

    monkeypatch.setattr(transcript, "live_text", merge_slowly)
    save_live_transcript(done.database, publisher(done), DONE, "quick")
    with done.database.read() as conn:
        stored = transcripts.latest(conn, DONE, TranscriptKind.LIVE)
    assert stored is not None and stored.turns[-1].text.endswith("the last words")
