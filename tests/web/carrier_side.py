"""Our end of the carrier's requests, for the tests of its routes: an installation with its live side, and signatures."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from callreel.cluster.group_commit import GroupCommit
from callreel.domain.ids import CallId, RecordingSid, StreamSid
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.consent import ConsentHandler
from callreel.runtime.counters import Counters
from callreel.simulator.calls.webhook_forms import (
    LegEvent,
    RecordingEvent,
    call_status_form,
    recording_status_form,
    stream_status_form,
    voice_form,
)
from callreel.store.db.tables import metadata
from callreel.twilio.signature import SignatureCheck, settings_header, sign
from callreel.web.carrier import consent as consent_webhooks
from callreel.web.carrier import webhooks
from callreel.web.carrier.webhooks import CarrierServices
from callreel.web.errors import install_error_handlers
from callreel.web.options import WebContext
from tests.support.installation import (
    ACCOUNT,
    NOON,
    Installation,
    answer_options,
    answering,
    leg,
    temporary_installation,
)

PUBLIC = "https://calls.example"
STREAM_URL = "wss://calls.example/twilio/media-stream"
AUTH_TOKEN = "auth-token"
KEY_SID, KEY = "webhooks_sharedkey_1", "shared-key"

VOICE = voice_form(leg_sid=leg(1), account_sid=ACCOUNT, from_="client:ada", to="+12125550123")
RECORDING = recording_status_form(RecordingEvent(
    recording_sid=RecordingSid("RE" + "1" * 32), leg_sid=leg(1), account_sid=ACCOUNT, status="completed",
    url="https://api.twilio.com/x", start_time=NOON, duration_s=41,
))  # fmt: skip
STREAM = stream_status_form(
    stream_sid=StreamSid("MZ" + "1" * 32), leg_sid=leg(1), account_sid=ACCOUNT, event="stream-stopped", timestamp=NOON
)  # fmt: skip
LEG = call_status_form(LegEvent(
    leg_sid=leg(1), account_sid=ACCOUNT, status="completed", sequence_number=3, timestamp=NOON, from_="client:ada",
    to="+12125550123", duration_s=41,
))  # fmt: skip
CALLBACKS = {
    "/twilio/recording-status": RECORDING,
    "/twilio/stream-status": STREAM,
    "/twilio/call-status": LEG,
}
ROUTES = {"/twilio/voice": VOICE, **CALLBACKS}


def signature_check() -> SignatureCheck:
    return SignatureCheck(AUTH_TOKEN, {KEY_SID: KEY})


def signed(path: str, form: Mapping[str, str], secret: str = AUTH_TOKEN) -> dict[str, str]:
    """The headers of the carrier's request to `path`."""
    return {"X-Twilio-Signature": sign(f"{PUBLIC}{path}", form, secret)}


def signed_with_shared_key(path: str, form: Mapping[str, str]) -> dict[str, str]:
    return {
        "X-Twilio-Signature": sign(f"{PUBLIC}{path}", form, KEY, sha256=True),
        "X-Twilio-Webhooks-Signature-Settings": settings_header(KEY_SID),
    }


@dataclass(slots=True)
class CarrierSide:
    """A client that speaks as the carrier does, what it set off, and where it shows."""

    installation: Installation
    client: TestClient
    counters: Counters
    woken: list[None] = field(default_factory=list)
    legs: list[CallId] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    granted: list[CallId] = field(default_factory=list)

    def post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and text of the answer; signed unless `headers` are given."""
        given = signed(path, form) if headers is None else dict(headers)
        return self.post_bytes(path, urlencode(form).encode(), given)

    def post_bytes(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.client.post(path, content=body, headers={**kind, **headers})
        return answer.status_code, answer.text


def consenting(
    services: Installation | WebContext, granted: Callable[[CallId], None] = lambda call_id: None
) -> ConsentHandler:
    commits = GroupCommit(services.database, services.publisher)
    return ConsentHandler(
        services.database, commits, answer_options(), services.clock, lambda: "token-of-consent", granted
    )


@contextmanager
def carrier_side(given: Installation | None = None) -> Iterator[CarrierSide]:
    """On the given installation, or on a temporary one."""
    with nullcontext(given) if given else temporary_installation() as installation:
        app, counters = FastAPI(), Counters()
        side = CarrierSide(installation, TestClient(app, base_url="http://127.0.0.1:8000"), counters)
        intake = CallbackIntake(
            installation.clock,
            recording_changed=lambda: side.woken.append(None),
            leg_ended=side.legs.append,
            stream_ended=side.streams.append,
        )
        consent = consenting(installation, side.granted.append)
        app.state.carrier = CarrierServices(
            signature_check(),
            PUBLIC,
            answering(installation),
            consent,
            intake,
            installation.commits,
            counters,
        )
        install_error_handlers(app)
        app.include_router(webhooks.routes)
        app.include_router(consent_webhooks.routes)
        yield side


def stored(side: CarrierSide) -> dict[str, int]:
    """How many rows each table has that has any."""
    with side.installation.database.read() as conn:
        counts = {
            table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    return {name: count for name, count in counts.items() if count}
