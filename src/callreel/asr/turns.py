"""How the segments of two parties become the turns of a conversation.

It uses times only, never text: the track or channel says who speaks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from callreel.asr.engine import RecognizedWord
from callreel.domain.call import Role
from callreel.domain.transcript import Final, Turn, Word
from callreel.domain.words import join_words

MAX_PAUSE_MS = 1500


def words_from(words: Sequence[RecognizedWord], start_ms: int) -> tuple[Word, ...]:
    """An engine's words, placed on the call: `start_ms` is where the decoded audio begins."""
    return tuple(
        Word(word.text, start_ms + word.start_ms, start_ms + word.end_ms, word.confidence) for word in words
    )


def merge_turns(finals: Iterable[Final], *, max_pause_ms: int = MAX_PAUSE_MS) -> list[Turn]:
    """Turns of both parties sorted by start, each word of `finals` in exactly one; segments without words are left out.

    Segments of one party are one turn when the pause between them is at most `max_pause_ms`, the other does not speak in
    it and the same engine decoded both. Parties who speak at once have turns that overlap; turns of one party never do. Times are those of
    the words, not of the segments, which have margins. Finals may come in any order.
    """
    pieces = [_Piece.of(final) for final in finals if final.words]
    pieces.sort(key=lambda piece: (piece.start_ms, piece.role))
    turns: list[_Piece] = []
    latest: dict[Role, _Piece] = {}
    for piece in pieces:
        turn = latest.get(piece.role)
        if turn is not None and _continues(turn, piece, latest.get(piece.role.other), max_pause_ms):
            turn.extend(piece)
        else:
            turns.append(piece)
            latest[piece.role] = piece
    return [turn.as_turn() for turn in turns]


def transcribed_ms(made: Iterable[Final]) -> int:
    """The audio that the chosen engine decoded, not its fallback."""
    return sum(
        final.segment.end_ms - final.segment.start_ms
        for final in made
        if not final.fallback_engine and not final.failed
    )


@dataclass(slots=True)
class _Piece:
    """A turn in the making: words of one party by one engine, and the span they cover."""

    role: Role
    start_ms: int
    end_ms: int
    words: list[Word]
    fallback_engine: str

    @classmethod
    def of(cls, final: Final) -> "_Piece":
        words = sorted(final.words, key=lambda word: word.start_ms)
        end_ms = max(word.end_ms for word in words)
        return cls(final.segment.role, words[0].start_ms, end_ms, words, final.fallback_engine)

    def extend(self, piece: "_Piece") -> None:
        self.end_ms = max(self.end_ms, piece.end_ms)
        self.words = sorted(self.words + piece.words, key=lambda word: word.start_ms)

    def as_turn(self) -> Turn:
        known = [word.confidence for word in self.words if word.confidence is not None]
        return Turn(
            role=self.role,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            text=join_words(word.text for word in self.words),
            confidence=sum(known) / len(known) if known else None,
            words=tuple(self.words),
            fallback_engine=self.fallback_engine,
        )


def _continues(turn: _Piece, piece: _Piece, other: _Piece | None, max_pause_ms: int) -> bool:
    """Pieces come sorted by start, so `other`, the other party's latest turn, began no later than `piece` does."""
    pause_ms = piece.start_ms - turn.end_ms
    if pause_ms <= 0:
        return True  # also across engines: turns of one party never overlap
    return (
        turn.fallback_engine == piece.fallback_engine
        and pause_ms <= max_pause_ms
        and (other is None or other.end_ms <= turn.end_ms)
    )
