"""Joins words to text and splits text into words, also in scripts without spaces such as Chinese, Japanese and Thai."""

import re
from collections.abc import Iterable, Iterator, Sequence

# Unicode blocks of scripts without spaces between words: Thai and Lao, Myanmar, Khmer, CJK with its punctuation and kana,
# full-width forms. Korean is written with spaces.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff00-\uff9f\U00020000-\U0003ffff]"
)
_PUNCTUATION = frozenset("、。，．！？：；「」『』（）【】《》〈〉・")
# A character of such a script with the combining marks and closing punctuation that stay with it.
_PIECE = re.compile(
    f"{_UNSPACED.pattern}[\u0e31\u0e33-\u0e3a\u0e45-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec6-\u0ece\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
    "、。，．！？：；」』）】》〉…ー]*"
)


def join_words(words: Iterable[str]) -> str:
    """The text of `words`, with a space between two of them unless their script uses none."""
    joined: list[str] = []
    for word in words:
        if word and joined and _spaced(joined[-1], word):
            joined.append(" ")
        if word:
            joined.append(word)
    return "".join(joined)


def split_words(text: str) -> list[str]:
    """The words of `text`. In scripts without spaces, where words are not marked, each character counts as one."""
    return [word for token in text.split() for word in _pieces(token)]


def spread(words: Sequence[str], start_ms: int, end_ms: int) -> list[tuple[str, int, int]]:
    """`words` without gaps from `start_ms` to `end_ms`, each for a time proportional to its letters.

    This is an estimate, close enough for highlighting words during playback.
    """
    letters = [max(1, len(word)) for word in words]
    whole, before = sum(letters), 0
    placed = []
    for word, count in zip(words, letters, strict=True):
        first_ms = start_ms + (end_ms - start_ms) * before // whole
        before += count
        placed.append((word, first_ms, start_ms + (end_ms - start_ms) * before // whole))
    return placed


def placed_between(
    words: Iterable[tuple[str, int | None, int | None]], duration_ms: int
) -> list[tuple[str, int, int]]:
    """Words with their start and end, where a word without one gets the room between its neighbours.

    None begins before the one before it ends.
    """
    placed: list[tuple[str, int, int]] = []
    waiting: list[str] = []
    at_ms = 0
    for text, start_ms, end_ms in words:
        if start_ms is None or end_ms is None:
            waiting.append(text)
            continue
        start_ms = max(start_ms, at_ms)
        placed += spread(waiting, at_ms, start_ms)
        waiting.clear()
        at_ms = max(start_ms, end_ms)
        placed.append((text, start_ms, at_ms))
    return placed + spread(waiting, at_ms, duration_ms)


def _spaced(before: str, after: str) -> bool:
    last, first = before.rstrip("…")[-1:], after[0]  # an ellipsis belongs to either kind of script
    if last in _PUNCTUATION or first in _PUNCTUATION or first == "…":
        return False
    return not (_UNSPACED.match(first) and (not last or _UNSPACED.match(last)))


def _pieces(token: str) -> Iterator[str]:
    """`token` split wherever `join_words` would insert no space."""
    start = 0
    for piece in _PIECE.finditer(token):
        end = piece.end()
        if end < len(token) and not _spaced(token[:end], token[end:]):
            yield token[start:end]
            start = end
    if start < len(token):
        yield token[start:]
