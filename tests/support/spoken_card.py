"""The seeded call with a card number in its final and its live transcript, and its redactor."""

import contextlib
from collections.abc import Iterator

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.redaction import RedactionPolicy
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.postcall.redaction import Redactor
from callreel.review.redacting import Redacting, RedactionOptions
from callreel.runtime.clock import Clock
from callreel.store.db.tables import finals, live_events
from callreel.store.transcripts import transcripts
from tests.support.installation import ACCOUNT
from tests.support.rest_server import Answer, RestServer, rest_server
from tests.support.seed import DONE, Seed

SAID = "card 4111 1111 1111 1111 thanks"
MASKED = "card [card number] thanks"
OPTIONS = RedactionOptions(RedactionPolicy.KEEP_BOTH)
FIRST_MS, LAST_MS = 600, 1_800
"""Where the digits are said."""


def say_card(place: Seed, call_id: CallId = DONE) -> None:
    """Words of 300 ms from 300 ms on, said by the technician, in both transcripts and a live event."""
    words = tuple(
        Word(text, 300 * number, 300 * number + 300, 0.9) for number, text in enumerate(SAID.split(), 1)
    )
    turn = Turn(Role.TECHNICIAN, 300, 2_100, SAID, 0.9, words)
    with place.database.write() as conn:
        transcripts.put(conn, call_id, TranscriptKind.LIVE, "quick", "", [turn])
        transcripts.put(conn, call_id, TranscriptKind.FINAL, "faster-whisper", "tiny.en", [turn])
        of_call = finals.c.call_id == call_id, finals.c.number == 1
        conn.execute(finals.update().where(*of_call).values(text=SAID, words=words))
        events = live_events.select().where(live_events.c.call_id == call_id)
        for row in conn.execute(events).all():
            if row.data.get("number") == 1:
                same = live_events.update().where(live_events.c.id == row.id)
                conn.execute(same.values(data={**row.data, "text": SAID}))


@contextlib.contextmanager
def redactor(
    place: Seed, policy: RedactionPolicy = RedactionPolicy.KEEP_BOTH
) -> Iterator[tuple[Redactor, RestServer]]:
    """The redact stage of the installation, with a carrier that deletes whatever it is asked to."""
    publisher, clock = EventPublisher(place.database, place.bus, Clock()), Clock()
    options = RedactionOptions(policy, margin_ms=OPTIONS.margin_ms)
    with rest_server() as server:
        copy = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{DONE * 2}00000000"
        server.put(f"{copy}.json", Answer(204))
        server.put(f"{copy}/Transcriptions.json", Answer(200, b'{"transcriptions": []}'))
        carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
        redacting = Redacting(place.database, publisher, clock, options)
        try:
            yield Redactor(place.database, place.blobs, carrier, clock, redacting), server
        finally:
            carrier.close()
