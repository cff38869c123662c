"""Corrections of a transcript by a person: the words of a turn, one word, or the speaker.

The engine's turns never change: a correction creates new ones. Unchanged words keep their times; new ones share the time of
those they replace, so that the player can still highlight them. A word that a person wrote has no confidence, even if only
its case differs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from callreel.domain.call import Role
from callreel.domain.errors import CallreelError
from callreel.domain.transcript import Turn, Word, spread_words, words_of
from callreel.domain.words import join_words, split_words, spread
from callreel.review.word_alignment import opcodes


class CorrectionError(CallreelError):
    """A change that does not fit the transcript."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `turn` and `word` are indexes from 0 in the transcript that the person saw.

    `text` replaces that word, or the whole turn without `word`; an empty text removes it. `role` is that of the turn.
    """

    turn: int
    word: int | None = None
    text: str | None = None
    role: Role | None = None


def corrected(turns: Sequence[Turn], changes: Iterable[Change]) -> dict[int, Turn | None]:
    """The changed turns by index; None for a removed one. Turns that end up unchanged are left out.

    Raises CorrectionError for an index out of range, an empty change, or two changes of the same word or turn.
    """
    of_turn: dict[int, list[Change]] = {}
    for change in changes:
        if not 0 <= change.turn < len(turns):
            raise CorrectionError(f"there is no turn {change.turn}: the transcript has {len(turns)}")
        of_turn.setdefault(change.turn, []).append(change)
    made = {place: _corrected(turns[place], listed) for place, listed in of_turn.items()}
    return {place: turn for place, turn in sorted(made.items()) if turn != turns[place]}


def _corrected(turn: Turn, changes: Sequence[Change]) -> Turn | None:
    roles = [change.role for change in changes if change.role is not None]
    of_words = {change.word: change.text for change in changes if change.word is not None}
    texts = [change.text for change in changes if change.word is None and change.text is not None]
    about = len(roles) + len(texts) + sum(change.word is not None for change in changes)
    if any(change.word is not None and (change.text is None or change.role) for change in changes):
        raise CorrectionError("a change of a word needs a text and no role")
    if any(change.text is None and change.role is None for change in changes):
        raise CorrectionError("a change needs a text, a role or both")
    if about != bool(roles) + bool(texts) + len(of_words) or (texts and of_words):
        raise CorrectionError("two changes are for the same word or turn")
    words = words_of(turn)
    if texts:
        words = _rewritten(words, split_words(texts[0]), turn)
    elif of_words:
        words = _reworded(words, of_words)
    else:
        return replace(turn, role=roles[0])
    if not words:
        return None
    if words == words_of(turn):
        return replace(turn, role=roles[0] if roles else turn.role)
    sure = [word.confidence for word in words if word.confidence is not None]
    return Turn(
        role=roles[0] if roles else turn.role,
        start_ms=turn.start_ms,
        end_ms=turn.end_ms,
        # A turn's new text keeps its spaces, which Thai uses between phrases.
        text=" ".join(texts[0].split()) if texts else join_words(word.text for word in words),
        confidence=sum(sure) / len(sure) if sure else None,
        words=words,
        fallback_engine=turn.fallback_engine,
    )


def _reworded(words: Sequence[Word], texts: dict[int, str | None]) -> tuple[Word, ...]:
    for place in texts:
        if not 0 <= place < len(words):
            raise CorrectionError(f"there is no word {place}: the turn has {len(words)}")
    return tuple(
        new
        for place, word in enumerate(words)
        for new in (_instead(word, texts[place] or "") if place in texts else (word,))
    )


def _instead(word: Word, text: str) -> tuple[Word, ...]:
    return (word,) if text == word.text else spread_words(text, word.start_ms, word.end_ms)


def _rewritten(words: Sequence[Word], texts: Sequence[str], turn: Turn) -> tuple[Word, ...]:
    """The words of a turn with a new text; unchanged words keep their times."""
    before, after = [word.text.casefold() for word in words], [text.casefold() for text in texts]
    made: list[Word] = []
    for op, i, i_end, j, j_end in opcodes(before, after):
        if op == "equal":
            made += [_spelt(word, text) for word, text in zip(words[i:i_end], texts[j:j_end], strict=True)]
        else:
            start_ms = words[i].start_ms if i < i_end else (words[i - 1].end_ms if i else turn.start_ms)
            end_ms = (
                words[i_end - 1].end_ms
                if i < i_end
                else (words[i].start_ms if i < len(words) else turn.end_ms)
            )
            made += [Word(*placed) for placed in spread(texts[j:j_end], start_ms, max(start_ms, end_ms))]
    return tuple(made)


def _spelt(word: Word, text: str) -> Word:
    return word if word.text == text else replace(word, text=text, confidence=None)
