"""Configuration of the web application as plain values, and the services that its routes use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import SecondFactor, UserRole
from callreel.domain.call import Role
from callreel.domain.consent import Jurisdiction
from callreel.domain.cost import Prices
from callreel.domain.events import Json
from callreel.domain.retention import Rule
from callreel.domain.work import NoWork, WorkQueue
from callreel.ingest.pause_control import PauseControl
from callreel.ops.health import Health
from callreel.ops.metrics import Metrics
from callreel.retention.stopped_recording import RecordingStop
from callreel.review.model_access import ModelAccess
from callreel.review.redacting import RedactionOptions
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.twilio.dial_policy import DialPolicy

ROLE_NAMES: Mapping[Role, str] = MappingProxyType({Role.AGENT: "Agent", Role.TECHNICIAN: "Technician"})


@dataclass(frozen=True, slots=True)
class SoftphoneOptions:
    """What browsers need to place calls; empty values are not set.

    `local_signal` is the host and port of the stand-in carrier's signalling; None in production, where browsers
    connect to Twilio. `token_ttl_s` is the lifetime of an access token.
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
        """The settings that are required to place calls and not set, each with a description."""
        needed = (
            (self.account_sid, "TWILIO_ACCOUNT_SID, the carrier account"),
            (self.api_key_sid, "TWILIO_API_KEY_SID, an API key of the account"),
            (self.api_key_secret, "TWILIO_API_KEY_SECRET, the secret of that key"),
            (self.application_sid, "TWILIO_TWIML_APP_SID, the TwiML app whose voice URL is this server"),
            (self.caller_id, "TWILIO_PHONE_NUMBER, the number that calls are made from"),
        )
        return [words for value, words in needed if not value]


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """An OpenID Connect provider. `roles` are the groups that give each role; `*` is everybody at the provider."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: str = "openid profile email"
    groups_claim: str = "groups"
    roles: Mapping[UserRole, frozenset[str]] = field(default_factory=dict)

    def role_of(self, groups: frozenset[str]) -> UserRole | None:
        """The highest role of these groups; None if no group has one."""
        for role in reversed(UserRole):
            if self.roles.get(role, frozenset()) & {*groups, "*"}:
                return role
        return None


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One line of the settings page. Secrets are masked in `value` already."""

    section: str
    name: str
    value: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How pages look and who may see them.

    `demo` admits requests to a loopback name only, and without `demo_sign_in` everybody is an administrator; the
    server must then listen on loopback. `secure_cookies` marks the session cookie for https only. `engine_report`
    makes the answer of `GET /api/v1/engines`. `check_language` raises LanguageError for a language code that no engine
    here supports; `languages` are those offered for a call, code and name. `prices` None hides costs. `carrier_usable`: credentials are set to delete
    recordings at the carrier. `public_url` None: pages show the address that the browser used. `demo_identity` is the
    carrier's client identity of the demo administrator. `trusted_proxies` are the IP addresses and networks whose
    `X-Forwarded-For` is believed. `missing` describes each required setting that is not set. `playback_reason`:
    audio is sent only to people who gave a reason for the call. `audit_search_text`: the audit trail has what was
    searched for. Without `local_accounts` people sign in at the `provider` only.
    `language_model` is the model that analyses calls, empty without one; `language_model_fault` asks its server and returns what
    is wrong in words, or None.
    `webhook_inside_hosts`: hosts of our own network that may receive webhooks. `mails_report`: the weekly report is sent by mail.
    """

    title: str = "Callreel"
    demo: bool = False
    demo_sign_in: bool = False
    secure_cookies: bool = True
    role_names: Mapping[Role, str] = field(default_factory=lambda: ROLE_NAMES)
    engine_report: Callable[[], dict[str, Json]] = dict
    check_language: Callable[[str], object] = lambda language: None
    languages: Sequence[tuple[str, str]] = ()
    prices: Prices | None = None
    monthly_budget: Decimal | None = None
    carrier_usable: bool = True
    public_url: str | None = None
    softphone: SoftphoneOptions = SoftphoneOptions()
    dial_policy: DialPolicy = DialPolicy(frozenset())
    demo_identity: str = "agent"
    session_hours: float = 12
    session_idle_s: float | None = None
    second_factor: SecondFactor = SecondFactor.OPTIONAL
    provider: ProviderOptions | None = None
    local_accounts: bool = True
    heartbeat_s: float = 10.0
    calls_per_page: int = 50
    trusted_proxies: Sequence[str] = ()
    jurisdictions: Sequence[Jurisdiction] = ()
    settings: Sequence[ShownSetting] = ()
    missing: Sequence[str] = ()
    redaction: RedactionOptions = RedactionOptions()
    playback_reason: bool = False
    audit_search_text: bool = False
    retention: Sequence[Rule] = ()
    webhook_inside_hosts: Sequence[str] = ()
    mails_report: bool = False
    language_model: str = ""
    language_model_fault: Callable[[], str | None] = lambda: None

    @property
    def no_sign_in(self) -> bool:
        """Whether every request counts as signed in."""
        return self.demo and not self.demo_sign_in


@dataclass(frozen=True, slots=True)
class WebContext:
    """The services that routes use; `app.state.context` holds the one of an application.

    Without `health` nothing is checked; without `metrics` there is no `/metrics`; without `pausing` no call is paused,
    without `recording_stop` none is left unrecorded once it has begun, without `model` no language model is asked.
    """

    database: Database
    blobs: BlobStore
    bus: EventBus
    options: WebOptions
    clock: Clock = field(default_factory=Clock)
    health: Health | None = None
    metrics: Metrics | None = None
    work: WorkQueue = field(default_factory=NoWork)
    pausing: PauseControl | None = None
    recording_stop: RecordingStop | None = None
    model: ModelAccess | None = None
    access_changed: Callable[[], None] | None = None
    """Makes the event streams of all processes check their sessions; by default those of this one."""

    @property
    def publisher(self) -> EventPublisher:
        return EventPublisher(self.database, self.bus, self.clock)
