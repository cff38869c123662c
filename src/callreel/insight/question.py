"""A question to a language model about many calls: its limits, the form of the answer, and what of it is kept. Pure.

The answer is not trusted, as in `answer.py`: a sentence is kept only if it cites a turn that was sent for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from callreel.insight.answer import MOST_CITED, Numbers, Strict, short
from callreel.insight.prompts import PIECE_CHARS

LONGEST_QUESTION: Final = 500
"""Characters."""
MOST_CALLS: Final = 50
"""Calls that one question is about."""
MOST_CHARS: Final = 10 * PIECE_CHARS
"""Characters of their text: ten requests."""
TURN_CHARS: Final = 50
"""What a turn takes of them besides its text."""
MOST_SENTENCES: Final = 10
LONGEST_SENTENCE: Final = 400
NOTHING: Final = "No answer found in these calls."


class Sentence(Strict):
    """One sentence of an answer."""

    text: str
    turns: Numbers


class Reply(Strict):
    """An answer."""

    sentences: Annotated[list[Sentence], Field(description="Empty if the turns do not answer the question.")]


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence, and the numbers of the real turns that it came from."""

    text: str = field(repr=False)
    turns: tuple[int, ...]


def checked_sentences(reply: Reply, known: Collection[int]) -> tuple[list[CitedSentence], int]:
    """The sentences that cite one of the `known` turns, each text once, and how many others there were."""
    kept: dict[str, CitedSentence] = {}
    for given in reply.sentences[:MOST_SENTENCES]:
        text = short(given.text, LONGEST_SENTENCE)
        cited = [number for number in dict.fromkeys(given.turns) if number in known][:MOST_CITED]
        if text and cited:
            kept.setdefault(text.casefold(), CitedSentence(text, tuple(sorted(cited))))
    return list(kept.values()), len(reply.sentences) - len(kept)


def as_parts(sentences: Sequence[CitedSentence]) -> list[dict[str, object]]:
    """Checked sentences in the form of an answer, for the request that merges them."""
    return [{"text": one.text, "turns": list(one.turns)} for one in sentences]
