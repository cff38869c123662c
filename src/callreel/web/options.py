"""What the web side is told at start-up: plain values, checked by the settings before they come here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from callreel.domain.call import Role
from callreel.domain.cost import Prices
from callreel.services.bus import EventSource
from callreel.store.blobs import BlobStore
from callreel.store.database import Database

ROLE_NAMES: Mapping[Role, str] = MappingProxyType({Role.AGENT: "Agent", Role.TECHNICIAN: "Technician"})


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How pages look and who may see them.

    `demo` turns sign-in off and admits only requests to a loopback name; whoever sets it binds to loopback.
    `secure_cookies` marks the session cookie for https only. `role_names` are shown for the stored role names.
    `prices` None leaves costs out. `public_url` is what the carrier reaches us by, for the page that explains the
    first call; None stands for the address that the reader used.
    """

    title: str = "Callreel"
    demo: bool = False
    secure_cookies: bool = True
    role_names: Mapping[Role, str] = field(default_factory=lambda: ROLE_NAMES)
    engine_name: str = ""
    engine_rough: bool = False
    prices: Prices | None = None
    public_url: str | None = None
    session_hours: int = 12
    heartbeat_s: float = 10.0
    calls_per_page: int = 50


@dataclass(frozen=True, slots=True)
class WebContext:
    """What every route needs, handed down once by `create_app`."""

    database: Database
    blobs: BlobStore
    bus: EventSource
    options: WebOptions
