"""The kinds of moments: what rows and filters have of them."""

from enum import StrEnum


class MomentKind(StrEnum):
    QUESTION = "question"
    NUMBER = "number"
    ADDRESS = "address"
    """Of a place, or for e-mail."""
    PROMISE = "promise"
    THANKS = "thanks"
    COMPLAINT = "complaint"
