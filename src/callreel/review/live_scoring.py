"""Saves a call's live score whenever its live or final text changes."""

from dataclasses import asdict

from sqlalchemy import Connection

from callreel.asr.delivery import Delivered
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind
from callreel.review.live_score import live_score
from callreel.review.summary import live_turns
from callreel.store.calls import calls
from callreel.store.transcripts import live_scores, transcripts


def save_text_score(conn: Connection, call_id: CallId) -> None:
    """Save the score if both texts exist, in the transaction that saved or aligned one of them."""
    row = calls.get(conn, call_id)
    live = transcripts.latest(conn, call_id, TranscriptKind.LIVE)
    final = transcripts.latest(conn, call_id, TranscriptKind.FINAL)
    if row is None or live is None or final is None:
        return
    live_scores.put(conn, call_id, asdict(live_score(live_turns(conn, row), final.turns)))


def save_delivery(conn: Connection, call_id: CallId, delivered: Delivered) -> None:
    """Save how the words were displayed, counted by the process that published them."""
    counts = {"live_words": delivered.words, "late": delivered.late, "retracted": delivered.retracted}
    live_scores.put(conn, call_id, counts)
