"""The commands of a media session, without a socket: the same however many messages a read has."""

from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.ingest.media.session import Command, MediaSession, Open
from callreel.runtime.counters import Counters
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.twilio.stream import Frame


def said() -> list[bytes]:
    """One stream as the carrier sends it, and other messages in between."""
    carrier = StreamSender(StreamSid("MZ1"), LegSid("CA1"), "AC1")
    audio = [carrier.media(Track.INBOUND, 20 * at, bytes([at]) * 160) for at in range(12)]
    return [text.encode() for text in (carrier.connected(), carrier.start(), *audio, carrier.stop())]


CONNECTED, START, *AUDIO, STOP = said()
BETWEEN = st.sampled_from(
    [
        b'{"event":"mark","mark":{"name":"m"}}',
        b'{"event":"dtmf","dtmf":{"digit":"1","track":"inbound_track"}}',
        b'{"event":"new","what":1}',
        b'{"event":"media","media":{"track":"inbound","timestamp":"-1","payload":""}}',
        b'{"event":"media"}',
        b"no JSON",
        STOP,
    ]
)


class Driven:
    """A session whose commands are carried out at once, recording its commands, facts and frames."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.session = MediaSession(self.counters, lambda kind, data: self.outcome.append((kind, data)))
        self.outcome: list[Command | Frame | tuple[str, dict[str, str]]] = []

    def place(self, frames: Sequence[Frame]) -> None:
        self.outcome += frames

    def carry_out(self, command: Command | None) -> None:
        while command is not None:
            self.outcome.append(command)
            command = self.session.opened(self.place) if isinstance(command, Open) else None


def driven(reads: Callable[[Driven], None]) -> tuple[list[object], dict[str, int]]:
    driven = Driven()
    reads(driven)
    return [*driven.outcome], driven.counters.snapshot()


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 14), BETWEEN), max_size=3), st.integers(1, 9))
def test_read_of_many_messages_equals_reads_of_one(inserted: list[tuple[int, bytes]], every: int) -> None:
    messages = [CONNECTED, START, *AUDIO, STOP]
    for at, message in inserted:
        messages.insert(at, message)

    def one_by_one(one: Driven) -> None:
        for message in messages:
            one.carry_out(one.session.receive(message))

    def read_by_read(many: Driven) -> None:
        for first in range(0, len(messages), every):
            many.carry_out(many.session.receive_all(messages[first : first + every]))

    assert driven(read_by_read) == driven(one_by_one)
