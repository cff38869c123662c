"""A pause of a call's recording: why it began and ended, and whether the carrier paused its own recording."""

from enum import StrEnum


class PauseCause(StrEnum):
    """Why a recording was paused."""

    PERSON = "person"
    FIELD = "field"  # a form field for secret data had the focus
    PHRASE = "phrase"  # the live words contained a phrase of CALLREEL_PAUSE_PHRASES


class PauseEnd(StrEnum):
    """Why a pause ended."""

    PERSON = "person"
    FIELD = "field"
    LIMIT = "limit"  # it had lasted for CALLREEL_PAUSE_MAX_S
    CALL = "call"  # the call ended


class CarrierPause(StrEnum):
    """Whether the carrier's recording of a paused stretch is silent.

    `PENDING`: requested, no answer yet. `PAUSED`: the carrier confirmed. `AWAY`: it did not answer in time, or could not
    serve the request; it is requested again. `REFUSED`: it does not pause. `NONE`: it records nothing.
    """

    PENDING = "pending"
    PAUSED = "paused"
    AWAY = "away"
    REFUSED = "refused"
    NONE = "none"


def warning(paused: bool, carrier: CarrierPause, error: str, resumed: bool) -> str | None:
    """What people must know of a pause, as a sentence; None while all recordings did what they should."""
    if carrier in (CarrierPause.AWAY, CarrierPause.REFUSED):
        first = "is not paused" if paused else "was not paused"
        return f"The carrier's recording {first}: {error}. Callreel silences this part in its own copy."
    if not paused and not resumed and error:
        return f"The carrier's recording may still be paused: {error}."
    return None


UNCONFIRMED = frozenset({CarrierPause.PENDING, CarrierPause.AWAY, CarrierPause.REFUSED})
"""The carrier's recording may contain what was said during the pause."""

ANY: frozenset[CarrierPause] = frozenset(CarrierPause)
