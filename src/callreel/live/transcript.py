"""Live results in the database and as events: final segments, and the live transcript made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from callreel.asr.engine import Capabilities
from callreel.asr.stability import Showing
from callreel.asr.turns import merge_turns, transcribed_ms
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment, TranscriptKind, Turn, Word
from callreel.domain.words import join_words
from callreel.review.live_score import Counts, text_score
from callreel.store.calls import calls, consents
from callreel.store.db.database import Database
from callreel.store.transcripts import finals, live_scores, search, spilled, transcripts
from callreel.store.transcripts.transcripts import Provenance


class OutdatedTextError(CallreelError):
    """A final was stored after the given `LiveText` was merged, or there is none: merge again."""


@dataclass(frozen=True, slots=True)
class LiveText:
    """A call's finals merged into turns, with all that takes CPU time, so that the transaction that stores it takes little.

    `known` are the tokens for the search index.
    """

    finals: int
    transcribed_ms: int
    turns: Sequence[Turn] = field(repr=False)
    known: search.Tokenized = field(repr=False)
    score: Counts


def live_text(database: Database, call_id: CallId, last: Final | None = None) -> LiveText:
    """The text of the stored finals and of `last`, which is about to be stored. Blocking."""
    with database.read() as conn:
        made = finals.of_call(conn, call_id)
        if last is not None and all(final.segment.key != last.segment.key for final in made):
            made.append(last)
        turns = merge_turns(made)
        row = calls.get(conn, call_id)
        score = {} if row is None else text_score(conn, row, live=turns)
        return LiveText(len(made), transcribed_ms(made), turns, search.tokenized(conn, turns), score)


def put_final(
    conn: Connection, call_id: CallId, final: Final, *, ended: bool, engine: str, text: LiveText | None = None
) -> list[LiveEvent]:
    """Store a final; the events are to be recorded in the same transaction.

    The live transcript of a call that has `ended` here was stored before its spilled segments were decoded, so the last
    one of them stores it again, from `text`. Raises OutdatedTextError where that is missing or without a final that was
    stored meanwhile. A call whose recording was stopped keeps no words.
    """
    if consents.is_stopped(conn, call_id):
        return []
    events = []
    if finals.put(conn, call_id, final):
        events.append(LiveEvent(call_id, EventKind.FINAL, final_data(final)))
    last = spilled.remove(conn, call_id, final.segment) and not spilled.count(conn, call_id)
    if last and ended:
        if text is None:
            raise OutdatedTextError("the live transcript must be merged again")
        events.append(put_live_transcript(conn, call_id, text, engine))
    return events


def save_live_transcript(database: Database, publisher: EventPublisher, call_id: CallId, engine: str) -> None:
    """Merge a call's live finals into turns and store them as its live transcript. Blocking, repeatable."""
    while True:
        text = live_text(database, call_id)
        try:
            with database.write() as conn:
                event = publisher.record(conn, put_live_transcript(conn, call_id, text, engine))
        except OutdatedTextError:
            continue
        publisher.publish(event)
        return


def put_live_transcript(
    conn: Connection,
    call_id: CallId,
    text: LiveText,
    engine: str,
    capabilities: Capabilities | None = None,
    reason: str = "",
) -> LiveEvent:
    """Store a live transcript and its score in a transaction; the event is to be recorded in it.

    `capabilities` gives the engine's model and price, `reason` the reason for its choice. Raises OutdatedTextError if a
    final was stored meanwhile: another process may decode the last spilled segment at this moment.
    """
    calls.lock(conn, call_id)
    if text.finals != finals.count(conn, call_id):
        raise OutdatedTextError("the live transcript must be merged again")
    row = calls.get(conn, call_id)
    language = row.language if row is not None else ""
    if not language and capabilities is not None and len(capabilities.languages) == 1:
        language = capabilities.languages[0]
    provenance = Provenance(
        "", reason, text.transcribed_ms, capabilities.cost_per_minute if capabilities else 0.0, language
    )
    transcripts.put(
        conn,
        call_id,
        TranscriptKind.LIVE,
        engine,
        capabilities.model if capabilities else "",
        text.turns,
        provenance,
        text.known,
    )
    live_scores.put(conn, call_id, text.score)
    return LiveEvent(call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.LIVE, "turns": len(text.turns)})


def partial_data(segment: Segment, showing: Showing) -> dict[str, Json]:
    """An open segment as event data. `text` is `stable`, which will not change, and then `tentative`."""
    return {
        **_place(segment),
        "text": _text(showing.words),
        "stable": _text(showing.stable),
        "tentative": _text(showing.tentative),
    }


def final_data(final: Final) -> dict[str, Json]:
    """A final as event data."""
    known = [word.confidence for word in final.words if word.confidence is not None]
    return {
        **_place(final.segment),
        "text": final.text,
        "confidence": round(sum(known) / len(known), 3) if known else None,
        "failed": final.failed,
        "fallback_engine": final.fallback_engine,
    }


def _place(segment: Segment) -> dict[str, Json]:
    return {
        "role": segment.role,
        "number": segment.number,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
    }


def _text(words: Iterable[Word]) -> str:
    return join_words(word.text for word in words)
