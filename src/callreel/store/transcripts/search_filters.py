"""Filters within the text of a search, such as `agent:maria before:2026-11-01 label:"data request" "no power"`. Pure.

A filter is a key of `FilterKey` in any case, a colon, and a value without spaces or in quotes, where `\\"` is a quote. Everything
else stays text for `search_query`: words, quoted phrases, also with a key in them, and unknown keys, so that `ratio:two` searches for words.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum


class FilterKey(StrEnum):
    """What a search can be limited by."""

    AGENT = "agent"
    BEFORE = "before"
    AFTER = "after"
    LABEL = "label"
    ALERT = "alert"
    MOMENT = "moment"
    PARTY = "party"
    NUMBER = "number"


# key:value | -key:"some value"  |  "a phrase"  |  word. The end of the text closes a quote.
_PIECE = re.compile(
    rf"(?<!\S)(?P<sign>-?)(?P<key>{'|'.join(FilterKey)}):"
    r'(?:"(?P<quoted>(?:[^"\\]|\\(?:.|$))*)(?:"|$)|(?P<plain>[^\s"]*))(?!\S)'
    r'|"[^"]*(?:"|$)|[^\s"]+',
    re.IGNORECASE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class TypedFilter:
    """`value` is empty where none follows the colon; `negated` after a minus sign."""

    key: FilterKey
    value: str = field(repr=False)
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TypedSearch:
    """`words` is the text without its filters."""

    words: str = field(default="", repr=False)
    filters: tuple[TypedFilter, ...] = ()

    def values(self, key: FilterKey) -> list[str]:
        """The values of one key, each once, as typed."""
        return list(dict.fromkeys(one.value for one in self.filters if one.key is key))


def split_filters(typed: str) -> TypedSearch:
    """Separate filters and words. Never raises."""
    found = list[TypedFilter]()
    words, place = "", 0
    for piece in _PIECE.finditer(typed):
        if piece["key"] is None:
            continue
        quoted = piece["quoted"]
        value = piece["plain"] if quoted is None else _ESCAPE.sub(r"\1", quoted)
        found.append(TypedFilter(FilterKey(piece["key"].lower()), value.strip(), bool(piece["sign"])))
        words += typed[place : piece.start()]
        place = piece.end()
    return TypedSearch(words + typed[place:], tuple(found))
