"""Random bad input between valid input, on both databases: capture loses no valid frame, and no request is a server error.

`CALLREEL_TEST_FUZZ=50` multiplies the counts: 2,000 messages become the 100,000 of a long run, 400 bodies 20,000.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest

from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.call import Role, Track
from callreel.ingest.call_registry import LiveStream
from callreel.ingest.media.session import End, MediaSession, Open
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.store.calls.streams import EndedBy
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from tests.support.installation import (
    ACCOUNT,
    Installation,
    LiveSide,
    RecordingBus,
    SteppedClock,
    frames,
    leg,
    live_side,
    speech,
)
from tests.support.streams import AGENT, CALL, TECHNICIAN, layer_1, rows, sid, tokens
from tests.web.carrier_side import CALLBACKS, ROUTES, VOICE, carrier_side, signed

TIMES = int(os.environ.get("CALLREEL_TEST_FUZZ", "1"))
MESSAGES = 2_000 * TIMES
BODIES = 400 * TIMES

STRANGE = (
    "", " ", "0", "-1", "1e400", "NaN", "9" * 400, "18446744073709551616", "\0", "a\0b", "\ufeff", "\u202e", "\ud800",
    "\U0001f600", "<script>", "=1+1", "../../etc/passwd", "null", "[]", "{}", "client:", "sip:a@b", "+", "Restricted",
    "2026-13-45T99:99:99Z", "Fri, 31 Dec 9999 23:59:59 +0000", "Thu, 01 Jan 0001 00:00:00 +0000", "x" * 5_000,
)  # fmt: skip
"""Values at the edges of text, numbers, times and addresses."""


def is_valid_audio(message: bytes) -> bool:
    """Whether a changed message might still be a frame that belongs in the call."""
    try:
        read = json.loads(message)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and read.get("event") == "media"


def unreadable(sender: StreamSender, chance: random.Random) -> bytes:
    """A message that brings no audio: broken, unknown, repeated, or beside the audio."""
    frame = sender.media(Track.INBOUND, chance.randrange(10_000), bytes(160)).encode()
    cut, flipped = frame[: chance.randrange(len(frame))], bytearray(frame)
    for _ in range(chance.randint(1, 8)):
        flipped[chance.randrange(len(flipped))] = chance.randrange(256)
    strange = chance.choice(STRANGE)
    body: dict[str, object] = json.loads(frame)
    body[chance.choice(["event", "media", "sequenceNumber", "streamSid", strange])] = chance.choice(
        [strange, None, [], {}, 1e300, -1, True, {"payload": strange}]
    )
    candidates: list[Callable[[], bytes]] = [
        lambda: cut,
        lambda: bytes(flipped),
        lambda: json.dumps(body).encode("utf-8", "surrogatepass"),
        lambda: sender.mark(strange.replace("\ud800", "?")).encode(),
        lambda: sender.dtmf(chance.choice("0123456789*#AZ")).encode(),
        lambda: sender.connected().encode(),
        lambda: sender.start((Track.INBOUND,), {"token": strange.replace("\ud800", "?")}).encode(),
        lambda: json.dumps({"event": strange, "body": strange}).encode(),
        lambda: strange.encode("utf-8", "surrogatepass"),
        lambda: chance.randbytes(chance.randrange(300)),
        lambda: b"[" * 2_000,
        lambda: b"\xef\xbb\xbf{}",
        lambda: b'{"event":"ping"}',
    ]
    message = chance.choice(candidates)()
    return b"{}" if is_valid_audio(message) else message


@pytest.fixture
def anywhere(database: Database, tmp_path: Path) -> Iterator[Installation]:
    """An installation on SQLite, then on PostgreSQL."""
    bus, clock = RecordingBus(), SteppedClock()
    publisher = EventPublisher(database, bus, clock)
    yield Installation(
        tmp_path, database, BlobStore(tmp_path / "objects"), bus, publisher, GroupCommit(database, publisher),
        clock, listen=False,
    )  # fmt: skip
    bus.close()


async def opened(live: LiveSide, sender: StreamSender, token: str) -> tuple[MediaSession, LiveStream]:
    """A media session after `connected` and `start`, whose facts go where the server's go."""
    session = MediaSession(live.counters, lambda kind, data: live.facts.put(CALL, leg(1), kind, data))
    session.receive(sender.connected().encode())
    command = session.receive(sender.start((AGENT, TECHNICIAN), {"token": token}).encode())
    assert isinstance(command, Open)
    stream = await live.streams.open(command.started)
    assert stream is not None
    session.opened(stream.place)
    return session, stream


@pytest.mark.timeout(600)
async def test_bad_messages_neither_end_a_stream_nor_cost_a_frame(anywhere: Installation) -> None:
    chance = random.Random(20261129)
    (token,) = tokens(anywhere)
    length_ms = MESSAGES // 4 * 20  # a quarter of the messages for each party, half are bad
    said = {AGENT: speech(length_ms), TECHNICIAN: speech(length_ms, seed=2)}
    sender = StreamSender(sid(1), leg(1), ACCOUNT)

    async with live_side(anywhere) as live:
        session, stream = await opened(live, sender, token)
        for pair in zip(frames(said[AGENT]), frames(said[TECHNICIAN]), strict=True):
            for track, (timestamp_ms, payload) in zip((AGENT, TECHNICIAN), pair, strict=True):
                good = sender.media(track, timestamp_ms, payload).encode()
                batch = [good, *(unreadable(sender, chance) for _ in range(chance.randrange(3)))]
                chance.shuffle(batch)
                assert not isinstance(session.receive_all(batch), End), batch
        await stream.close(EndedBy.STOP)

    assert np.array_equal(layer_1(anywhere, Role.AGENT), said[AGENT])
    assert np.array_equal(layer_1(anywhere, Role.TECHNICIAN), said[TECHNICIAN])
    (row,) = rows(anywhere)
    assert row.ended_by is EndedBy.STOP
    assert live.counters.snapshot().get("stream_violations", 0) > MESSAGES // 10


def bad_body(route: str, number: int, chance: random.Random) -> bytes:
    """The form of a route with values at their edges, missing and repeated fields, or no form at all."""
    fields = list(ROUTES[route].items())
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(fields))
        name, value = fields[place]
        fields[place] = (
            name,
            chance.choice([chance.choice(STRANGE), value + chance.choice(STRANGE), f"{value}{number}"]),
        )
    chance.shuffle(fields)
    fields = fields[: chance.randint(0, len(fields))] if chance.random() < 0.3 else fields
    fields += [chance.choice(list(ROUTES[route].items()))] if chance.random() < 0.2 else []
    body = urlencode(fields, errors="surrogatepass").encode()
    if chance.random() < 0.1:
        body = chance.choice(
            [b"", b"{}", b"%", b"a=%ff%fe&%00=1", b"&&&==", body[: len(body) // 2], chance.randbytes(200)]
        )
    return body


@pytest.mark.timeout(600)
def test_no_webhook_body_is_a_server_error(anywhere: Installation) -> None:
    chance = random.Random(7)
    with carrier_side(anywhere) as side:
        assert side.post("/twilio/voice", VOICE)[0] == 200
        for number in range(BODIES):
            route = chance.choice(list(ROUTES))
            body = bad_body(route, number, chance)
            form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace"))
            status, answer = side.post_bytes(route, body, signed(route, form))
            assert status < 500, (route, body, answer)
        for route, form in CALLBACKS.items():
            assert side.post(route, form)[0] == 204, "a valid callback after all of these"
