"""Differences of the live and the final transcript, word by word and party by party.

Both are on the call's clock, so only words of about the same time are compared: the transcripts are divided where both are
silent, and each stretch is compared separately. That keeps a long call cheap and the differences local. Case and
punctuation at the edges of a word are ignored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word, words_of
from callreel.review.word_alignment import Op, opcodes

PAUSE_MS = 400
LONGEST_BLOCK = 10_000
"""The number of words that are compared at once, to bound memory in a call without a pause."""
_EDGES = ".,;:!?…\"'()[]«»„“”‚‘’-–—"


@dataclass(frozen=True, slots=True)
class Difference:
    """A run of words of one party. `insert` is only in the final transcript, `delete` only in the live one."""

    op: Op
    role: Role
    live: tuple[Word, ...]
    final: tuple[Word, ...]

    @property
    def start_ms(self) -> int:
        return min(word.start_ms for word in (*self.live[:1], *self.final[:1]))


def differences(live: Iterable[Turn], final: Iterable[Turn]) -> list[Difference]:
    """All runs of both transcripts, in the order of time."""
    live, final = list(live), list(final)
    found = [run for role in Role for run in _of_role(role, _words(live, role), _words(final, role))]
    return sorted(found, key=lambda run: (run.start_ms, run.role))


def _words(turns: Iterable[Turn], role: Role) -> list[Word]:
    words = [word for turn in turns if turn.role is role for word in words_of(turn)]
    return sorted(words, key=lambda word: word.start_ms)


def _of_role(role: Role, live: Sequence[Word], final: Sequence[Word]) -> list[Difference]:
    return [run for blocks in _blocks(live, final) for run in _of_block(role, *blocks)]


def _blocks(live: Sequence[Word], final: Sequence[Word]) -> Iterator[tuple[list[Word], list[Word]]]:
    """Stretches separated by more than PAUSE_MS of silence in both."""
    both = sorted(
        [(word, 0) for word in live] + [(word, 1) for word in final], key=lambda said: said[0].start_ms
    )
    block: tuple[list[Word], list[Word]] = ([], [])
    end_ms: int | None = None
    for word, side in both:
        full = len(block[0]) + len(block[1]) >= LONGEST_BLOCK
        if end_ms is not None and (full or word.start_ms > end_ms + PAUSE_MS):
            yield block
            block = ([], [])
        block[side].append(word)
        end_ms = word.end_ms if end_ms is None else max(end_ms, word.end_ms)
    if end_ms is not None:
        yield block


def _of_block(role: Role, live: Sequence[Word], final: Sequence[Word]) -> Iterator[Difference]:
    for op, i, i_end, j, j_end in opcodes([*map(_folded, live)], [*map(_folded, final)]):
        yield Difference(op, role, tuple(live[i:i_end]), tuple(final[j:j_end]))


def _folded(word: Word) -> str:
    return word.text.casefold().strip(_EDGES) or word.text
