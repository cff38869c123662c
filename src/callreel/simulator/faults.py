"""The faults of a simulated carrier, by name: of media streams, callbacks, recordings and REST requests.

Faults are plain data. `inject` applies those of frames: it takes the scheduled messages of a stream and yields what is
sent instead. The other faults are applied where the event happens. Times are call time, which `speed` divides.
"""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from callreel.domain.call import Track
from callreel.domain.errors import SettingsError

SPARED_MS = 2000
"""Earlier frames are not affected, so that a fault affects a running stream."""

_REORDERED_BY_MS = 30
_STALL_EVERY_MS = 5000


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault does and what its number means. Without a `default` it takes no number."""

    description: str
    default: float | None = None


FAULTS: dict[str, FaultKind] = {
    "lost": FaultKind(
        "a share of the frames is never sent; a number from 1 up drops every nth of a track", 0.02
    ),
    "late": FaultKind("every 50th frame of a track is sent this many ms late, after later frames", 300),
    "repeated": FaultKind("every nth frame of a track is sent twice", 50),
    "reordered": FaultKind("every nth frame of a track is sent after its successor", 50),
    "stall": FaultKind("every 5 s nothing is sent for this many ms, then all at once", 233),
    "socket-cut": FaultKind("the media socket breaks after this many seconds, without stop", 10),
    "socket-cut-and-return": FaultKind(
        "the media socket breaks likewise, and a second stream starts 1 s later", 10
    ),
    "socket-open": FaultKind(
        "the media socket stays open this many seconds after the call, without stop", 20
    ),
    "callback-lost": FaultKind("the final callback of the recording is never sent"),
    "callback-repeated": FaultKind("each callback of the recording is sent this many times", 2),
    "callback-delayed": FaultKind("the final callback of the recording is sent this many seconds late", 5),
    "callback-reordered": FaultKind("the final callback of the recording is sent before the first"),
    "media-truncated": FaultKind("this many downloads end in the middle of the body", 1),
    "media-404": FaultKind("this many downloads return 404", 2),
    "media-429": FaultKind("this many downloads return 429", 2),
    "media-500": FaultKind("this many downloads return 500", 2),
    "list-429": FaultKind("this many lists of recordings return 429", 2),
    "list-500": FaultKind("this many lists of recordings return 500", 2),
    "list-slow": FaultKind("the next list of recordings takes this many seconds", 3),
    "list-odd-rows": FaultKind(
        "this many lists of recordings have rows without call_sid and with unknown values", 2
    ),
    "fetch-429": FaultKind("this many requests for the recording's resource return 429", 2),
    "fetch-500": FaultKind("this many requests for the recording's resource return 500", 2),
    "fetch-slow": FaultKind("the next request for the recording's resource takes this many seconds", 3),
    "delete-429": FaultKind("this many deletions of the recording return 429", 2),
    "delete-500": FaultKind("this many deletions of the recording return 500", 2),
    "delete-slow": FaultKind("the next deletion of the recording takes this many seconds", 3),
    "pause-refused": FaultKind("this many requests to pause or resume the recording return 400", 2),
    "pause-500": FaultKind("this many requests to pause or resume the recording return 500", 2),
    "pause-slow": FaultKind("the next request to pause or resume the recording takes this many seconds", 8),
    "wrong-duration": FaultKind("the callback reports this many seconds more than the file has", 10),
    "absent": FaultKind("there is no recording; the number is the error code", 16102),
    "failed": FaultKind("the recording fails"),
    "forged-signature": FaultKind("every request is signed with a wrong token"),
    "late-stream": FaultKind("the stream starts this many seconds after the recording", 5),
    "mono": FaultKind("the recording has one channel, whatever was requested"),
    "notice-lost": FaultKind("the document of the dialled party, such as a notice, cannot be fetched"),
    "busy": FaultKind("the dialled phone is busy"),
    "no-answer": FaultKind("the dialled phone rings, but is not answered"),
}

RECORDING_REST_FAULTS = tuple(
    name for name in FAULTS if name.partition("-")[0] in ("media", "fetch", "delete", "pause")
)
LIST_FAULTS = tuple(name for name in FAULTS if name.startswith("list-"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a call. `value` is 0 for a fault without a number."""

    name: str
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise SettingsError(f"unknown fault {self.name!r}; expected one of: {', '.join(FAULTS)}")


def parse_fault(text: str) -> Fault:
    """`name` or `name=number`, as on the command line (`2%` is 0.02). Raises SettingsError with the known names."""
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
    """The number of that fault (by default its kind's), or None if the call does not have it."""
    for fault in faults:
        if fault.name == name:
            return fault.value or FAULTS[name].default or 0.0
    return None


class PendingFaults:
    """REST faults that have not happened yet: each happens as many times as its number says, a delay once."""

    def __init__(self) -> None:
        self._left: defaultdict[str, float] = defaultdict(float)

    def add(self, faults: Iterable[Fault], names: Iterable[str]) -> None:
        """Add those of `faults` that are in `names`."""
        faults = tuple(faults)
        for name in names:
            self._left[name] += value_of(faults, name) or 0.0

    def take(self, name: str) -> bool:
        """Whether this request fails with that fault; counts it."""
        left = self._left[name]
        self._left[name] = max(0, left - 1)
        return left > 0

    def take_delay_s(self, name: str) -> float:
        """The delay of this request; the next one has none."""
        return self._left.pop(name, 0.0)


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A media message of a track, and the time at which to send it, in ms of the stream."""

    due_ms: float
    message: str
    track: Track = Track.INBOUND


def inject(
    sendings: Iterable[ScheduledMessage], faults: Iterable[Fault], seed: int = 0
) -> Iterator[ScheduledMessage]:
    """Apply the frame faults among `faults` to `sendings`; yields what is sent, in order of time.

    Lazy: reads at most some 300 ms of messages ahead. The same seed affects the same frames.
    """
    messages: Iterator[ScheduledMessage] = iter(sendings)
    for fault in faults:
        value = value_of([fault], fault.name) or 0.0
        match fault.name:
            case "lost":
                messages = _lose(messages, value, random.Random(seed))
            case "late":
                messages = _postpone(messages, every=50, by_ms=value)
            case "reordered":
                messages = _postpone(messages, every=round(value), by_ms=_REORDERED_BY_MS)
            case "repeated":
                messages = _repeat(messages, every=round(value))
            case "stall":
                messages = _stall(messages, value)
            case _:
                pass
    return messages


def _numbered(sendings: Iterator[ScheduledMessage]) -> Iterator[tuple[int, ScheduledMessage]]:
    """Each message with its number in its own track, from 1: an even count over both would affect one track only."""
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
        affected = drawn < share if share < 1 else number % round(share) == 0
        if sending.due_ms < SPARED_MS or not affected:
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
