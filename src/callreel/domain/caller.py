"""Callers who withhold their number: the values that carriers send as `From` instead. Pure.

Carriers write a word (RFC 3323 uses `anonymous`), spell the word on a telephone keypad as if it were a number
(`+266696687` is ANONYMOUS), or send nothing.
"""

from typing import Final

WITHHELD: Final = "anonymous"
"""Stored as the number of a call whose caller withheld it; it cannot be dialled."""
DELETED: Final = "deleted"
"""Stored as the number of a call whose number a retention policy deleted."""

_WORDS: Final = ("anonymous", "blocked", "private", "restricted", "unavailable", "unknown", "withheld")
_KEYPAD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELLINGS: Final = frozenset({*_WORDS, *(word.translate(_KEYPAD) for word in _WORDS)})


def caller_number(sent: str) -> str:
    """The caller's number as the carrier sent it, or `WITHHELD`."""
    name = sent.strip().lower().removeprefix("sip:").partition("@")[0].lstrip("+")
    return WITHHELD if not name or name in _SPELLINGS else sent
