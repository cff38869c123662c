"""What can go wrong at a carrier, by name: on a stream's way, with callbacks, and with the recording.

Faults are plain data. Those of frames are pure: they take the messages of a stream with the times when each is due and
give what is delivered instead. The others are looked up by `forks`, `notices` and `rest_media`, which do the harm.
Times are call time: `speed` divides them like everything else.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from callreel.domain.call import Track
from callreel.domain.errors import SettingsError

SPARED_MS = 2000
"""Frames before this are left alone, so that a fault strikes a stream that runs."""

_REORDERED_BY_MS = 30
_STALL_EVERY_MS = 5000


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault does and what its number means. `default` None: it takes no number."""

    description: str
    default: float | None = None


FAULTS: dict[str, FaultKind] = {
    "lost": FaultKind("a share of the frames is never sent; from 1 up: every nth of a track", 0.02),
    "late": FaultKind("every 50th frame of a track comes this many ms after its time, behind others", 300),
    "repeated": FaultKind("every nth frame of a track comes twice", 50),
    "reordered": FaultKind("every nth frame of a track comes after its successor", 50),
    "stall": FaultKind("nothing is delivered for this many ms every 5 s, then all at once", 233),
    "socket-cut": FaultKind("the media socket breaks after this many seconds, without stop", 10),
    "socket-cut-and-return": FaultKind("the same, and a second stream starts 1 s later", 10),
    "callback-lost": FaultKind("the recording's last callback never comes"),
    "callback-repeated": FaultKind("each callback of the recording comes this many times", 2),
    "callback-delayed": FaultKind("the recording's last callback comes this many seconds later", 5),
    "callback-reordered": FaultKind("the recording's last callback comes before its first"),
    "media-truncated": FaultKind("so many downloads end in the middle of the body", 1),
    "media-404": FaultKind("so many downloads are answered 404", 2),
    "media-429": FaultKind("so many downloads are answered 429", 2),
    "media-500": FaultKind("so many downloads are answered 500", 2),
    "wrong-duration": FaultKind("the callback says so many seconds more than the file has", 10),
    "absent": FaultKind("there is no recording; the number is the error code", 16102),
    "failed": FaultKind("the recording fails"),
    "forged-signature": FaultKind("every request is signed with a wrong token"),
    "late-stream": FaultKind("the stream starts this many seconds after the recording", 5),
    "mono": FaultKind("the recording has one channel, whatever was asked for"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a call. `value` is 0 for a fault without a number."""

    name: str
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise SettingsError(f"expected a fault, got {self.name!r}; there are: {', '.join(FAULTS)}")


def parse_fault(text: str) -> Fault:
    """`name` or `name=number`, as on the command line (`2%` is 0.02). Raises SettingsError with what there is."""
    name, equals, number = text.strip().partition("=")
    fault = Fault(name, FAULTS[name].default or 0.0 if name in FAULTS else 0.0)
    if not equals:
        return fault
    if FAULTS[name].default is None:
        raise SettingsError(f"the fault {name} takes no number, got {number!r}")
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        raise SettingsError(f"expected a number after {name}=, got {number!r}") from None
    if not 0 < value < 1e6:
        raise SettingsError(f"expected a number above 0 after {name}=, got {number!r}")
    return Fault(name, value)


def value_of(faults: Iterable[Fault], name: str) -> float | None:
    """The number of that fault, its default where none was given, or None when the call does not have it."""
    for fault in faults:
        if fault.name == name:
            return fault.value or FAULTS[name].default or 0.0
    return None


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A media message of a track, and when it is to be sent, in ms of the stream."""

    due_ms: float
    message: str
    track: Track = Track.INBOUND


def inject(
    sendings: Iterable[ScheduledMessage], faults: Iterable[Fault], seed: int = 0
) -> Iterator[ScheduledMessage]:
    """What is delivered of `sendings` under the frame faults among `faults`, in order of delivery.

    Lazy: at most some 300 ms of messages are taken ahead. The same seed strikes the same frames.
    """
    struck: Iterator[ScheduledMessage] = iter(sendings)
    for fault in faults:
        value = value_of([fault], fault.name) or 0.0
        match fault.name:
            case "lost":
                struck = _lose(struck, value, random.Random(seed))
            case "late":
                struck = _postpone(struck, every=50, by_ms=value)
            case "reordered":
                struck = _postpone(struck, every=round(value), by_ms=_REORDERED_BY_MS)
            case "repeated":
                struck = _repeat(struck, every=round(value))
            case "stall":
                struck = _stall(struck, value)
            case _:
                pass
    return struck


def _numbered(sendings: Iterator[ScheduledMessage]) -> Iterator[tuple[int, ScheduledMessage]]:
    """Each with its number in its own track, from 1: an even count over both would strike one track only."""
    numbers = Counter[Track]()
    for sending in sendings:
        numbers[sending.track] += 1
        yield numbers[sending.track], sending


def _hit(number: int, every: int, sending: ScheduledMessage) -> bool:
    return sending.due_ms >= SPARED_MS and number % max(1, every) == 0


def _lose(
    sendings: Iterator[ScheduledMessage], share: float, chance: random.Random
) -> Iterator[ScheduledMessage]:
    for number, sending in _numbered(sendings):
        drawn = chance.random()
        struck = drawn < share if share < 1 else number % round(share) == 0
        if sending.due_ms < SPARED_MS or not struck:
            yield sending


def _postpone(sendings: Iterator[ScheduledMessage], every: int, by_ms: float) -> Iterator[ScheduledMessage]:
    held: list[tuple[float, int, ScheduledMessage]] = []
    taken = 0
    for number, sending in _numbered(sendings):
        taken += 1
        while held and held[0][0] <= sending.due_ms:
            yield heapq.heappop(held)[2]
        if _hit(number, every, sending):
            later = replace(sending, due_ms=sending.due_ms + by_ms)
            heapq.heappush(held, (later.due_ms, taken, later))
        else:
            yield sending
    while held:
        yield heapq.heappop(held)[2]


def _repeat(sendings: Iterator[ScheduledMessage], every: int) -> Iterator[ScheduledMessage]:
    for number, sending in _numbered(sendings):
        yield sending
        if _hit(number, every, sending):
            yield sending


def _stall(sendings: Iterator[ScheduledMessage], stall_ms: float) -> Iterator[ScheduledMessage]:
    for sending in sendings:
        since_ms = sending.due_ms % _STALL_EVERY_MS
        stalled = sending.due_ms >= _STALL_EVERY_MS and since_ms < stall_ms
        yield replace(sending, due_ms=sending.due_ms - since_ms + stall_ms) if stalled else sending
