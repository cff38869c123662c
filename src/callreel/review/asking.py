"""A question about a selection of calls, answered by a language model with citations only.

Nothing of it is kept: neither the question nor the answer.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.transcript import Turn
from callreel.insight import prompts
from callreel.insight.question import (
    MOST_CALLS,
    MOST_CHARS,
    NOTHING,
    TURN_CHARS,
    CitedSentence,
    Reply,
    as_parts,
    checked_sentences,
)
from callreel.language_model.inquiry import Inquiry, Progress, Watch
from callreel.review.model_access import ModelAccess, SentText
from callreel.review.summary import turn_summary
from callreel.store.calls import call_list
from callreel.store.calls.call_list import CallFilter, Sort

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Selection:
    """`unread` calls have no text to send, or no room for it; `more`: further calls match."""

    sources: Sequence[SentText]
    unread: int
    more: bool


@dataclass(frozen=True, slots=True)
class CitedTurn:
    """A turn of an answer's citation, with its displayed party."""

    call_id: CallId
    turn: Turn = field(repr=False)

    def summary(self) -> dict[str, Json]:
        """As JSON."""
        return {"call_id": self.call_id, **turn_summary(self.turn)}


@dataclass(frozen=True, slots=True)
class Answered:
    """The sentences, each with the turns that it came from; `dropped` others had none. Calls as in `_Selection`."""

    sentences: Sequence[tuple[str, Sequence[CitedTurn]]] = field(repr=False)
    dropped: int
    read: int
    unread: int
    more: bool
    facts: Mapping[str, Json]

    def summary(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "sentences": [
                {"text": text, "turns": [one.summary() for one in cited]} for text, cited in self.sentences
            ],
            "message": None if self.sentences else NOTHING,
            "dropped": self.dropped,
            "calls": {"read": self.read, "unread": self.unread, "more": self.more},
            "prompt": prompts.QUESTION,
            **self.facts,
        }


def ask(
    access: ModelAccess,
    question: str,
    select: Callable[[Connection], CallFilter],
    sort: Sort,
    watch: Watch,
    *,
    original: bool = False,
) -> Answered:
    """Ask about the first calls that `select` finds. `original`: also what is redacted, to a server on this machine only. Blocking.

    Raises AskRefusedError, LanguageModelError, CancelledRequestError, and AccessEndedError for a request whose session ended
    meanwhile.
    """
    inquiry = access.inquiry(watch, original=original)
    with access.database.read() as conn:
        found = _selected(access, conn, select(conn), sort, original)
    sentences, dropped = _sentences(question, found.sources, inquiry)
    facts = access.facts(inquiry)
    access.require_unchanged(found.sources, original=original)
    turns = [CitedTurn(one.call.id, turn) for one in found.sources for turn in one.turns]
    log.info(
        "question answered model=%s calls=%d requests=%d sentences=%d dropped=%d duration_ms=%d",
        facts["model"], len(found.sources), facts["requests"], len(sentences), dropped, facts["duration_ms"],
    )  # fmt: skip
    cited = [(one.text, [turns[number - 1] for number in one.turns]) for one in sentences]
    return Answered(cited, dropped, len(found.sources), found.unread, found.more, facts)


def _selected(
    access: ModelAccess, conn: Connection, wanted: CallFilter, sort: Sort, original: bool
) -> _Selection:
    rows = [row for row, _ in call_list.sorted_page(conn, wanted, sort, MOST_CALLS + 1)]
    sources, room = list[SentText](), MOST_CHARS
    for row in rows[:MOST_CALLS]:
        source = access.text(conn, row.id, original=original)
        size = sum(TURN_CHARS + len(turn.text) for turn in source.turns) if source else 0
        if source and size and size <= room:
            sources.append(source)
            room -= size
    return _Selection(sources, min(len(rows), MOST_CALLS) - len(sources), len(rows) > MOST_CALLS)


def _sentences(
    question: str, sources: Sequence[SentText], inquiry: Inquiry
) -> tuple[list[CitedSentence], int]:
    """What is kept of the answers, and how many sentences are not."""
    turns = [turn for source in sources for turn in source.turns]
    places = [place for place, source in enumerate(sources, start=1) for _ in source.turns]
    call_of = dict(enumerate(places, start=1))
    template = prompts.template(prompts.QUESTION)
    parts, dropped = list[list[CitedSentence]](), 0
    pieces = prompts.pieces(turns, each=TURN_CHARS)
    requests = len(pieces) + (len(pieces) > 1)
    for number, piece in enumerate(pieces):
        inquiry.report(Progress(number, requests, call_of[piece[0][0]] - 1, len(sources)))
        reply = inquiry.reply(prompts.about_question(template, question, piece, call_of), Reply)
        kept, others = checked_sentences(reply, {number for number, _ in piece})
        dropped += others
        parts += [kept] if kept else []
    every = [sentence for part in parts for sentence in part]
    if len(parts) < 2:
        return every, dropped
    inquiry.report(Progress(len(pieces), requests, len(sources), len(sources)))
    merging = prompts.about_answers(prompts.template(prompts.MERGE_ANSWERS), question, as_parts(every))
    kept, others = checked_sentences(
        inquiry.reply(merging, Reply), {number for one in every for number in one.turns}
    )
    return kept, dropped + others
