"""Turns with evenly timed words, from lines such as `A: what is your card number`."""

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word

WORD_MS = 400
_ROLES = {"A": Role.AGENT, "T": Role.TECHNICIAN}


def conversation(*lines: str, pause_ms: int = 500) -> list[Turn]:
    """One turn after the other. A line begins with `A:` or `T:`."""
    turns, at_ms = [], 1000
    for line in lines:
        role, _, text = line.partition(": ")
        words = []
        for word in text.split():
            words.append(Word(word, at_ms, at_ms + WORD_MS, 0.9))
            at_ms += WORD_MS
        turns.append(Turn(_ROLES[role], words[0].start_ms, at_ms, text, 0.9, tuple(words)))
        at_ms += pause_ms
    return turns
