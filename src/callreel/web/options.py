"""What the web side is told at start-up: plain values, checked by the settings before they come here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from callreel.cluster.event_bus import EventSource
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.cost import Prices
from callreel.domain.events import Json
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.twilio.dial_policy import DialPolicy

ROLE_NAMES: Mapping[Role, str] = MappingProxyType({Role.AGENT: "Agent", Role.TECHNICIAN: "Technician"})


@dataclass(frozen=True, slots=True)
class SoftphoneOptions:
    """What browsers need to place calls. Empty values are not set; `missing` says which of them that stops.

    `local_signal` is the host and port of the stand-in carrier's signalling, None in production: then the browser
    talks to the carrier. `token_ttl_s` is the life of an access token.
    """

    account_sid: str = ""
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    application_sid: str = ""
    caller_id: str = ""
    token_ttl_s: int = 600
    local_signal: str | None = None

    @property
    def missing(self) -> list[str]:
        """The settings without which no browser can place a call, by name and in words."""
        needed = (
            (self.account_sid, "TWILIO_ACCOUNT_SID, the carrier account"),
            (self.api_key_sid, "TWILIO_API_KEY_SID, an API key of the account"),
            (self.api_key_secret, "TWILIO_API_KEY_SECRET, the secret of that key"),
            (self.application_sid, "TWILIO_TWIML_APP_SID, the TwiML app whose voice URL is this server"),
            (self.caller_id, "TWILIO_PHONE_NUMBER, the number that calls are made from"),
        )
        return [words for value, words in needed if not value]


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting for the page of settings. `value` is for people: a secret is masked before it comes here."""

    section: str
    name: str
    value: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How pages look and who may see them.

    `demo` turns sign-in off and admits only requests to a loopback name; whoever sets it binds to loopback. With
    `demo_sign_in` people sign in all the same.
    `secure_cookies` marks the session cookie for https only. `role_names` are shown for the stored role names.
    `engines` answers what `GET /api/engines` tells. `hears` raises LanguageError for a
    language that no call can be heard in; `languages` are those that one can be placed in, code and name. `english` puts numbers and addresses of the text export in writing. `prices` None leaves costs out. `carrier_usable`: whether credentials are set to erase
    there. `public_url` is
    what the carrier reaches us by, for the page that explains the first call; None stands for the address that the
    reader used. `dial_policy` is that of the voice route; by default it allows nothing. `demo_identity` is the client
    that the demo's administrator is to the carrier. `settings` are those in force, in their order; `missing` is what
    the carrier cannot do without and is not set, in words.
    """

    title: str = "Callreel"
    demo: bool = False
    demo_sign_in: bool = False
    secure_cookies: bool = True
    role_names: Mapping[Role, str] = field(default_factory=lambda: ROLE_NAMES)
    engine_name: str = ""
    engine_rough: bool = False
    engines: Callable[[], dict[str, Json]] = field(default=dict)
    english: bool = True
    hears: Callable[[str], object] = lambda language: None
    languages: Sequence[tuple[str, str]] = ()
    prices: Prices | None = None
    carrier_usable: bool = True
    public_url: str | None = None
    softphone: SoftphoneOptions = SoftphoneOptions()
    dial_policy: DialPolicy = DialPolicy(frozenset())
    demo_identity: str = "agent"
    session_hours: int = 12
    heartbeat_s: float = 10.0
    calls_per_page: int = 50
    settings: Sequence[ShownSetting] = ()
    missing: Sequence[str] = ()

    @property
    def no_sign_in(self) -> bool:
        """Whether everybody who reaches this server is in."""
        return self.demo and not self.demo_sign_in


@dataclass(frozen=True, slots=True)
class WebContext:
    """What every route needs, handed down once by `create_app`."""

    database: Database
    blobs: BlobStore
    bus: EventSource
    options: WebOptions
    publisher: EventPublisher
    clock: Clock
