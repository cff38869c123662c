"""Settings of the carrier: the server's public address, the account, recording and streaming, the softphone, prices."""

import re
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from callreel.domain.consent import Jurisdiction, read_jurisdictions
from callreel.domain.cost import Prices
from callreel.domain.errors import SettingsError
from callreel.runtime.loopback import is_loopback
from callreel.settings.values import BaseAddress, Phrases, Words, split_pairs, web_address

MEDIA_PATH: Final = "/twilio/media-stream"
INCLUDED_JURISDICTIONS: Final = Path(__file__).with_name("jurisdictions.csv")


def _key_pairs(value: object) -> object:
    pairs = split_pairs(value)
    if isinstance(value, str) and isinstance(pairs, dict) and not all(pairs.values()):
        raise ValueError("should be sid=secret pairs separated by commas")
    return pairs


class AddressSettings(BaseSettings):
    """The addresses at which the carrier and browsers reach the server."""

    title: ClassVar[str] = "Addresses"

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        default_factory=lambda values: f"http://localhost:{values['port']}",
        description="Address at which the carrier and browsers reach this server. Default: localhost with the port.",
    )
    media_url: str | None = Field(
        default=None,
        description="Address at which the carrier reaches the media sockets, for example one that bypasses a tunnel. Default: the public address.",
    )
    trusted_proxies: Words = Field(
        default=(),
        description="IP addresses and networks of the reverse proxies whose X-Forwarded-For names the client, such as 10.0.0.5 or 10.1.0.0/16. Limits by address then count the client instead of the proxy. Default: none is trusted.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(
                    "should be IP addresses or networks such as 10.0.0.5 or 10.1.0.0/16"
                ) from None
        return value

    @field_validator("public_url", "media_url")
    @classmethod
    def _check_public(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = web_address(value)
        if url.scheme == "http" and not is_loopback(url.hostname):
            raise ValueError("should begin with https:// (plain http:// is for localhost only)")
        return value.rstrip("/")

    @property
    def stream_url(self) -> str:
        """Public address of the media socket, without a query. Always `wss`: the carrier connects to nothing else."""
        return f"wss:{(self.media_url or self.public_url).partition(':')[2]}{MEDIA_PATH}"

    def url(self, path: str) -> str:
        """Public address of `path`, which begins with a slash."""
        return self.public_url + path


class AccountSettings(BaseSettings):
    """The account at the carrier. Credentials keep the names that the carrier's own tools use."""

    title: ClassVar[str] = "Carrier account"

    carrier_api_url: BaseAddress = Field(
        default="https://api.twilio.com", description="Base address of the carrier's REST API."
    )
    account_sid: str | None = Field(
        default=None,
        pattern=r"^AC[0-9a-fA-F]{32}$",
        validation_alias="TWILIO_ACCOUNT_SID",
        description="Account SID: AC and 32 hex digits.",
    )
    auth_token: SecretStr | None = Field(
        default=None,
        validation_alias="TWILIO_AUTH_TOKEN",
        description="Auth token of the account; it signs every webhook.",
    )
    api_key_sid: str | None = Field(
        default=None,
        pattern=r"^SK[0-9a-fA-F]{32}$",
        validation_alias="TWILIO_API_KEY_SID",
        description="SID of a standard API key: SK and 32 hex digits. It signs access tokens for browsers and REST requests.",
    )
    api_key_secret: SecretStr | None = Field(
        default=None,
        validation_alias="TWILIO_API_KEY_SECRET",
        description="Secret of the API key.",
    )
    twiml_app_sid: str | None = Field(
        default=None,
        pattern=r"^AP[0-9a-fA-F]{32}$",
        validation_alias="TWILIO_TWIML_APP_SID",
        description="SID of the TwiML app whose voice URL is /twilio/voice on this server: AP and 32 hex digits.",
    )
    caller_id: str | None = Field(
        default=None,
        pattern=r"^\+[1-9][0-9]{7,14}$",
        validation_alias="TWILIO_PHONE_NUMBER",
        description="Your number at the carrier, such as +15551234567: the caller ID of outgoing calls, and the number that customers call.",
    )
    shared_keys: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_key_pairs)] = Field(
        default={}, description="Shared keys that may sign webhooks with SHA-256, as sid=secret,sid=secret."
    )


class CallSettings(BaseSettings):
    """How calls are dialled, recorded and streamed."""

    title: ClassVar[str] = "Recording and streaming"

    stream_track: Literal["both_tracks", "inbound_track", "outbound_track"] = Field(
        default="both_tracks", description="Tracks that the carrier streams during the call."
    )
    record: bool = Field(
        default=True, description="Whether the carrier records the call as well (the cloud layer)."
    )
    recording_channels: Literal["dual", "mono"] = Field(
        default="dual", description="One channel per party (dual), or one channel for both (mono)."
    )
    recording_track: Literal["both", "inbound", "outbound"] = Field(
        default="both",
        description="Parties that the carrier records; inbound or outbound alone requires mono.",
    )
    recording_trim: Literal["do-not-trim", "trim-silence"] = Field(
        default="do-not-trim",
        description="Whether the carrier removes silence; only an untrimmed recording aligns with the live layers.",
    )
    recording_events: Annotated[
        tuple[Literal["in-progress", "completed", "absent"], ...], *Words.__metadata__
    ] = Field(
        default=("in-progress", "completed", "absent"),
        min_length=1,
        description="Recording callbacks that are requested from the carrier.",
    )
    callback_retries: int = Field(
        default=5, ge=0, le=5, description="How many times the carrier retries a webhook."
    )
    callback_retry_policy: str = Field(
        default="all",
        pattern=r"^(all|4xx|5xx|ct|rt)(,(all|4xx|5xx|ct|rt))*$",
        description="Failures after which the carrier retries a webhook: all, or a list of 4xx, 5xx, ct (connect timeout), rt (read timeout).",
    )
    restart_streams: bool = Field(
        default=True,
        description="Whether to request a new media stream from the carrier when one breaks during a call.",
    )
    answer_on_bridge: bool = Field(
        default=True,
        description="Whether the agent's leg counts as answered only when the other party answers.",
    )
    swap_tracks: bool = Field(
        default=False,
        description="Swap the roles on tracks and channels, for a carrier that maps them the other way round.",
    )
    dial_countries: Words = Field(
        default=(),
        description="Countries that may be called, as US,DE. Default: the country of the caller ID.",
    )
    dial_prefixes: Words = Field(
        default=(),
        description="Number prefixes that may be called in addition to those countries, as +4989,+1900555.",
    )
    incoming_agent: str = Field(
        default="agent",
        pattern=r"^[A-Za-z0-9_]{1,121}$",
        description="Client identity that incoming calls ring.",
    )
    media_token_ttl_s: int = Field(
        default=300,
        ge=10,
        le=86400,
        description="Lifetime of the single-use token of a media stream, in seconds.",
    )
    consent_jurisdictions: Path | None = Field(
        default=None,
        description="File with your own table of what jurisdictions require of recordings, as CSV. Default: the included one (no legal advice).",
    )

    @property
    def jurisdictions(self) -> tuple[Jurisdiction, ...]:
        """The table of jurisdictions. Raises SettingsError for a file that is missing or invalid."""
        path = self.consent_jurisdictions or INCLUDED_JURISDICTIONS
        try:
            return read_jurisdictions(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError):
            raise SettingsError(
                f"cannot read the table of jurisdictions at {path}: expected a CSV file"
            ) from None

    @field_validator("dial_countries")
    @classmethod
    def _check_countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z]{2}", country) for country in value):
            raise ValueError("should be country codes of two letters, as US,DE")
        return tuple(country.upper() for country in value)

    @field_validator("dial_prefixes")
    @classmethod
    def _check_prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"\+[1-9][0-9]{0,14}", prefix) for prefix in value):
            raise ValueError("should be prefixes of international numbers, as +1415,+49")
        return value


class SoftphoneSettings(BaseSettings):
    """The softphone on the pages, and the names of the roles."""

    title: ClassVar[str] = "Softphone and roles"

    access_token_ttl_s: int = Field(
        default=600,
        ge=60,
        le=86400,
        description="Lifetime of a browser's access token for the carrier, in seconds; the page renews it before it expires.",
    )
    softphone_signalling_address: str | None = Field(
        default=None,
        description="Host and port of the simulated carrier's signalling socket, such as 127.0.0.1:8002; demo mode only, loopback only.",
    )
    agent_name: str = Field(
        default="agent", min_length=1, max_length=40, description="Display name of the agent's role."
    )
    technician_name: str = Field(
        default="technician",
        min_length=1,
        max_length=40,
        description="Display name of the other party's role.",
    )

    @field_validator("softphone_signalling_address")
    @classmethod
    def _check_loopback(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(f"//{value}")
            valid = is_loopback(url.hostname) and url.port is not None and url.netloc == value
        except ValueError:
            valid = False
        if not valid:
            raise ValueError("should be a loopback address and a port, such as 127.0.0.1:8002")
        return value


class PauseSettings(BaseSettings):
    """Pausing the recordings of a call."""

    title: ClassVar[str] = "Pauses"

    pause_max_s: int = Field(
        default=300,
        ge=0,
        le=86400,
        description="A pause of the recording ends automatically after this long, in seconds, with a warning. 0: never.",
    )
    pause_phrases: Phrases = Field(
        default=(),
        description="Phrases in the live words that pause the recording, separated by commas, such as card number, security code; a word may end in * for any ending. Default: none.",
    )
    pause_delete_at_carrier: Literal["never", "unconfirmed", "always"] = Field(
        default="never",
        description="Whether the carrier's copy of a recording with pauses is deleted after the verdict: if the carrier did not confirm a pause, always, or never. The local copy is silent in every pause.",
    )


class PriceSettings(BaseSettings):
    """List prices, for the cost estimate of a call."""

    title: ClassVar[str] = "Prices"

    price_recording_per_minute: Decimal = Field(
        default=Decimal("0.0025"), ge=0, description="Price of recording, per minute."
    )
    price_storage_per_minute_month: Decimal = Field(
        default=Decimal("0.0005"),
        ge=0,
        description="Price of storing a recording at the carrier, per minute and month.",
    )
    price_free_stored_minutes: int = Field(
        default=10_000, ge=0, description="Minutes that the carrier stores each month without a charge."
    )
    monthly_budget: Decimal | None = Field(
        default=None,
        gt=0,
        description="Budget for a month's calls, in the currency of the prices: the dashboard and a webhook say when it is, or will be, exceeded. Default: none.",
    )
    price_stream_per_minute: Decimal = Field(
        default=Decimal("0.004"), ge=0, description="Price of the media stream, per minute."
    )
    price_client_leg_per_minute: Decimal = Field(
        default=Decimal("0.004"), ge=0, description="Price of the browser's leg, per minute."
    )
    price_number_leg_per_minute: Decimal = Field(
        default=Decimal("0.014"), ge=0, description="Price of the phone number's leg, per minute."
    )
    price_transcription_per_minute: Decimal = Field(
        default=Decimal("0.006"),
        ge=0,
        description="Price of transcription by OpenAI's own server, per minute of audio.",
    )
    price_currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="Currency of these prices.")

    @property
    def prices(self) -> Prices:
        return Prices(
            currency=self.price_currency,
            client_leg_per_minute=self.price_client_leg_per_minute,
            number_leg_per_minute=self.price_number_leg_per_minute,
            stream_per_minute=self.price_stream_per_minute,
            recording_per_minute=self.price_recording_per_minute,
            storage_per_minute_month=self.price_storage_per_minute_month,
            free_stored_minutes=self.price_free_stored_minutes,
        )
