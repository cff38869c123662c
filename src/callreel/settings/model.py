"""Every setting with its default, bounds and meaning. What is derived from several of them is a property here.

`Settings(...)` reads nothing by itself; `load` brings environment and file. Lower rooms never see this class: the
composition root hands them plain values.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from callreel.domain.cost import Prices

PREFIX = "CALLREEL_"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
MEDIA_PATH = "/twilio/media-stream"

Words: TypeAlias = Annotated[tuple[str, ...], NoDecode]
EngineName: TypeAlias = Annotated[
    str,
    Field(pattern=r"^(auto|pocketsphinx|faster-whisper|sherpa-onnx|openai|python:[A-Za-z_][A-Za-z0-9_.]*)$"),
]
"""An engine that comes with Callreel, `auto` for the best that is usable, or `python:` and the dotted name of a module of
one's own."""

AUTO = "auto"
NO_ENGINE = "none"


def _also(*names: str) -> AliasChoices:
    """Names in the environment, the one that `describe` shows first."""
    return AliasChoices(*names)


WORK_QUEUES: Final = {"fetch": 8, "transcribe": 1, "judge": 4}
"""The stages after a call, each with how many of it a process works on at once by default."""


class Settings(BaseSettings):
    """All settings of one installation. Frozen; secrets are `SecretStr`, so that printing them shows nothing."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        populate_by_name=True,
        env_ignore_empty=True,
        cli_parse_args=False,
    )

    # Where things are kept
    data_dir: Path = Field(
        default=Path("callreel-data"),
        description="Folder that holds the recordings and, by default, the databases.",
    )
    database_url: str | None = Field(
        default=None,
        description="Database of calls and transcripts; by default the file app.db in the data folder.",
    )
    stages_database_url: str | None = Field(
        default=None,
        description="Database of the durable stages after a call; by default that of calls on PostgreSQL, else stages.db.",
    )
    object_store_url: str | None = Field(
        default=None,
        description="Where audio files are kept: s3://bucket/prefix, gs://, az:// or file:///folder; by default the data folder. With an object store the data folder is the spool.",
    )
    object_store_options: Annotated[dict[str, str], NoDecode] = Field(
        default={},
        description="Further options of the object store, as name=value,name=value: endpoint, region, and others of obstore.",
    )
    object_store_key_id: str | None = Field(
        default=None,
        description="Access key of an S3 store; without one AWS_ACCESS_KEY_ID and the other ways of the provider count.",
    )
    object_store_secret: SecretStr | None = Field(
        default=None, description="The secret that belongs to the access key of the object store."
    )
    object_store_timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="How long one request to the object store may take."
    )

    archive: Literal["after_verified", "after_days", "never"] = Field(
        default="after_verified",
        description="When a call's files become FLAC and what can be made again is dropped: an hour after it was judged verified or explained, some days after any verdict, or never.",
    )
    archive_after_days: int = Field(
        default=30, ge=0, le=36_500, description="How many days after its verdict, with after_days."
    )

    erase_after_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="How many days after its verdict a call is erased for good, here and at the carrier; by default never.",
    )

    # Where it is reached
    public_url: str = Field(
        default="http://localhost:8000",
        description="Address under which the carrier and the browsers reach this server.",
    )
    media_url: str | None = Field(
        default=None,
        description=(
            "Address under which the carrier reaches the media sockets, where that is another than the public one: a name"
            " that leads past a tunnel or to machines of their own."
        ),
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")

    # The carrier's account
    carrier_api_url: str = Field(
        default="https://api.twilio.com", description="Base address of the carrier's REST API."
    )
    account_sid: str | None = Field(
        default=None,
        pattern=r"^AC[0-9a-fA-F]{32}$",
        validation_alias=_also("TWILIO_ACCOUNT_SID", "CALLREEL_TWILIO_ACCOUNT_SID"),
        description="The carrier account, AC and 32 hex digits.",
    )
    auth_token: SecretStr | None = Field(
        default=None,
        validation_alias=_also("TWILIO_AUTH_TOKEN", "CALLREEL_TWILIO_AUTH_TOKEN"),
        description="The account's auth token, which signs every webhook.",
    )
    api_key_sid: str | None = Field(
        default=None,
        pattern=r"^SK[0-9a-fA-F]{32}$",
        validation_alias=_also(
            "TWILIO_API_KEY_SID", "TWILIO_API_KEY", "CALLREEL_TWILIO_API_KEY_SID", "CALLREEL_TWILIO_API_KEY"
        ),
        description="A standard API key, SK and 32 hex digits; signs the browsers' access tokens and REST requests.",
    )
    api_key_secret: SecretStr | None = Field(
        default=None,
        validation_alias=_also(
            "TWILIO_API_KEY_SECRET",
            "TWILIO_API_SECRET",
            "CALLREEL_TWILIO_API_KEY_SECRET",
            "CALLREEL_TWILIO_API_SECRET",
        ),
        description="The secret that belongs to the API key.",
    )
    twiml_app_sid: str | None = Field(
        default=None,
        pattern=r"^AP[0-9a-fA-F]{32}$",
        validation_alias=_also("TWILIO_TWIML_APP_SID", "CALLREEL_TWILIO_TWIML_APP_SID"),
        description="The TwiML app whose voice URL is /twilio/voice here, AP and 32 hex digits.",
    )
    caller_id: str | None = Field(
        default=None,
        pattern=r"^\+[1-9][0-9]{7,14}$",
        validation_alias=_also(
            "TWILIO_PHONE_NUMBER",
            "TWILIO_CALLER_ID",
            "CALLREEL_CALLER_ID",
            "CALLREEL_TWILIO_PHONE_NUMBER",
            "CALLREEL_TWILIO_CALLER_ID",
        ),
        description="The number that calls are made from and that customers call, as +15551234567.",
    )
    shared_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default={}, description="Shared keys that may sign webhooks with SHA-256, as sid=secret,sid=secret."
    )

    # How calls are recorded and streamed
    stream_track: Literal["both_tracks", "inbound_track", "outbound_track"] = Field(
        default="both_tracks", description="Which tracks the carrier streams while the call goes on."
    )
    record: bool = Field(
        default=True, description="Whether the carrier records the call too (the cloud layer)."
    )
    recording_channels: Literal["dual", "mono"] = Field(
        default="dual", description="One channel a party, or one for both."
    )
    recording_track: Literal["both", "inbound", "outbound"] = Field(
        default="both", description="Whom the carrier records; inbound or outbound alone need mono."
    )
    recording_trim: Literal["do-not-trim", "trim-silence"] = Field(
        default="do-not-trim",
        description="Whether the carrier cuts silence away; only do-not-trim lines up with the live layers.",
    )
    recording_events: Annotated[tuple[Literal["in-progress", "completed", "absent"], ...], NoDecode] = Field(
        default=("in-progress", "completed", "absent"),
        min_length=1,
        description="Recording callbacks that the carrier is asked for.",
    )
    callback_retries: int = Field(
        default=5, ge=0, le=5, description="How often the carrier tries a webhook again."
    )
    callback_retry_policy: str = Field(
        default="all",
        pattern=r"^(all|4xx|5xx|ct|rt)(,(all|4xx|5xx|ct|rt))*$",
        description="After which failures the carrier tries again: all, or a list of 4xx, 5xx, ct (connection), rt (time).",
    )
    restart_streams: bool = Field(
        default=True,
        description="Whether to ask the carrier for a new media stream when one dies in the middle of a call.",
    )
    answer_on_bridge: bool = Field(
        default=True,
        description="Whether the agent's leg counts as answered only when the other party answers.",
    )
    swap_tracks: bool = Field(
        default=False,
        description="Turn the roles on tracks and channels round, for a carrier that maps them so.",
    )
    dial_countries: Words = Field(
        default=(), description="Countries that may be called, as US,DE; empty means the caller ID's own."
    )
    dial_prefixes: Words = Field(
        default=(),
        description="Beginnings of numbers that may be called besides those countries, as +4989,+1900555.",
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
        description="How long the single-use token of a media stream is good for, in seconds.",
    )

    # The softphone
    access_token_ttl_s: int = Field(
        default=600,
        ge=60,
        le=86400,
        description="How long a browser's access token for the carrier is good for, in seconds; it is renewed in time.",
    )
    softphone_local_signal: str | None = Field(
        default=None,
        description="Host and port of the stand-in carrier's signalling, as 127.0.0.1:8002; in demo mode on loopback only.",
    )

    # Names of the roles
    agent_name: str = Field(
        default="agent", min_length=1, max_length=40, description="What pages call the agent."
    )
    technician_name: str = Field(
        default="technician", min_length=1, max_length=40, description="What pages call the other party."
    )

    # Speech
    engine: EngineName = Field(
        default=AUTO,
        description="Engine of the live transcript: pocketsphinx, faster-whisper, sherpa-onnx, openai, or auto for the best usable.",
    )
    final_engine: EngineName | None = Field(
        default=None,
        description="Engine of the final transcript, or auto; by default that of the live one.",
    )
    fallback_engine: str = Field(
        default=AUTO,
        pattern=r"^(auto|none|pocketsphinx|faster-whisper|sherpa-onnx|openai)$",
        description="Engine that takes over while the other fails: auto for the next best on this machine, or none.",
    )
    engine_elsewhere: bool = Field(
        default=False,
        description="Whether auto may pick an engine that sends audio to another machine.",
    )
    engine_model: str | None = Field(
        default=None,
        description="Model that the engine loads, by name or folder; by default the engine's own choice.",
    )
    engine_workers: int = Field(default=2, ge=1, le=64, description="Engine processes on this machine.")
    engine_language: str = Field(
        default="en",
        pattern=r"^([a-z]{2,3}|detect)$",
        description="Language that is spoken, as a code of two or three letters; detect to find out in each segment.",
    )
    engine_options: Annotated[dict[str, str], NoDecode] = Field(
        default={},
        description="Further options of the engine, as name=value,name=value; another engine's with its name, as openai.retries=5.",
    )
    vocabulary: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Words and names that engines should expect, with commas between them; people may add more in the app.",
    )
    openai_base_url: str | None = Field(
        default=None, description="Address of an OpenAI-compatible speech server; by default OpenAI's own."
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=_also("OPENAI_API_KEY", "CALLREEL_OPENAI_API_KEY"),
        description="Key for that server.",
    )
    live_transcript: bool = Field(
        default=True,
        description="Whether calls are transcribed while they go on; off, they are recorded and transcribed afterwards.",
    )
    vad_on_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Speech probability from which a segment opens."
    )
    vad_off_threshold: float = Field(
        default=0.35, gt=0, lt=1, description="Speech probability below which a segment may close."
    )
    vad_min_silence_ms: int = Field(
        default=500, ge=100, le=5000, description="Silence that closes a segment, in milliseconds."
    )
    vad_pre_ms: int = Field(
        default=500, ge=0, le=2000, description="Audio kept before speech begins, in milliseconds."
    )
    vad_post_ms: int = Field(
        default=450, ge=0, le=2000, description="Audio kept after speech ends, in milliseconds."
    )

    # Limits and waits
    block_ms: int = Field(
        default=160,
        ge=20,
        le=1000,
        description=(
            "Audio is written in blocks of this length, in milliseconds, and the sockets of calls that nobody listens to"
            " are read as often; a killed process loses at most 80 more."
        ),
    )
    media_workers: int = Field(
        default=0,
        ge=0,
        le=64,
        description=(
            "Processes of their own for the media sockets, so that no page or report stalls audio; each has"
            " CALLREEL_ENGINE_WORKERS engines. 0: the server's process has them."
        ),
    )
    max_calls: int = Field(
        default=1000,
        ge=1,
        le=100000,
        description="Calls that one process records at once; a media stream beyond them is refused with code 1013.",
    )
    drain_s: float = Field(
        default=20,
        ge=0,
        le=86400,
        description="At SIGTERM, how long to wait for the end of calls that go on; new ones are refused meanwhile.",
    )
    stream_idle_s: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="A media stream without a message for so long is taken as dead, in seconds.",
    )
    start_deadline_s: float = Field(
        default=10,
        gt=0,
        le=120,
        description="A media socket that does not start within this time is closed, in seconds.",
    )
    work_queues: Annotated[dict[str, int], NoDecode] = Field(
        default=WORK_QUEUES,
        description="Stages after a call that this process works on, and how many at once: fetch, transcribe and judge,"
        " as fetch=8,transcribe=1; a name alone means its default, none leaves all to other machines.",
    )
    fetch_attempts: int = Field(
        default=8,
        ge=1,
        le=100,
        description="How often a cloud recording's download is tried before it is parked.",
    )
    fetch_timeout_s: float = Field(
        default=60, gt=0, le=3600, description="Longest wait for one answer of the carrier, in seconds."
    )
    recording_grace_s: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="After the call's end, how long to wait for the recording callback before asking the carrier.",
    )
    recording_deadline_s: float = Field(
        default=86400,
        gt=0,
        le=2592000,
        description="After the call's end, when a recording that nobody knows of is called missing, in seconds.",
    )
    late_stream_ms: int = Field(
        default=2000,
        ge=0,
        le=60000,
        description="A live layer that begins later than this is named as late in the verdict.",
    )

    # What is kept, and for how long
    sync_every_s: float = Field(
        default=5,
        gt=0,
        le=3600,
        description="How often growing layers are synced to the disk, in seconds: the most that a power cut takes.",
    )
    min_free_mb: int = Field(
        default=512,
        ge=0,
        le=1_000_000,
        description="Below so many MiB of free space /health says that calls cannot be taken.",
    )
    reconcile_days: int = Field(
        default=2,
        ge=1,
        le=40,
        description="Every quarter of an hour the carrier's recordings of so many days are held against ours.",
    )
    delete_at_carrier: Literal["never", "after_days"] = Field(
        default="never",
        description="Whether the carrier's copy of a recording is deleted once ours is verified.",
    )
    delete_after_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="With CALLREEL_DELETE_AT_CARRIER=after_days: how many days after the call was judged.",
    )

    # Prices
    price_recording_per_minute: Decimal = Field(
        default=Decimal("0.0025"), ge=0, description="Price of recording, a minute."
    )
    price_storage_per_minute_month: Decimal = Field(
        default=Decimal("0.0005"), ge=0, description="Price of storing at the carrier, a minute and month."
    )
    price_stream_per_minute: Decimal = Field(
        default=Decimal("0.004"), ge=0, description="Price of the media stream, a minute."
    )
    price_client_leg_per_minute: Decimal = Field(
        default=Decimal("0.004"), ge=0, description="Price of the browser's leg, a minute."
    )
    price_number_leg_per_minute: Decimal = Field(
        default=Decimal("0.014"), ge=0, description="Price of the phone number's leg, a minute."
    )
    price_transcription_per_minute: Decimal = Field(
        default=Decimal("0.006"),
        ge=0,
        description="Price of transcription by OpenAI's own server, a minute of audio.",
    )
    price_currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="Currency of these prices.")

    # Log
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines for people, or one JSON object a line."
    )

    otel_endpoint: str | None = Field(
        default=None,
        description="Base URL of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as http://127.0.0.1:4318. Unset: no traces. Needs the extra otel.",
    )

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @field_validator("recording_events", "dial_countries", "dial_prefixes", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return (
            tuple(re.split(r"[\s,]+", value.strip(" ,")))
            if isinstance(value, str) and value.strip(" ,")
            else value or ()
        )

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _split_phrases(cls, value: object) -> object:
        """Phrases may hold blanks, so only commas part them."""
        if not isinstance(value, str):
            return value
        return tuple(phrase.strip() for phrase in value.split(",") if phrase.strip())

    @field_validator("shared_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
        if not all(sid and secret for sid, _, secret in pairs):
            raise ValueError("should be sid=secret pairs with commas between them")
        return {sid: secret for sid, _, secret in pairs}

    @field_validator("engine_options", "object_store_options", mode="before")
    @classmethod
    def _split_options(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
        if not all(name and separator for name, separator, _ in pairs):
            raise ValueError("should be name=value pairs with commas between them")
        return {name: given for name, _, given in pairs}

    @field_validator("work_queues", mode="before")
    @classmethod
    def _split_queues(cls, value: object) -> object:
        return work_queues(value) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("dial_countries")
    @classmethod
    def _countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z]{2}", country) for country in value):
            raise ValueError("should be country codes of two letters, as US,DE")
        return tuple(country.upper() for country in value)

    @field_validator("dial_prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"\+[1-9][0-9]{0,14}", prefix) for prefix in value):
            raise ValueError("should be beginnings of international numbers, as +1415,+49")
        return value

    @field_validator("softphone_local_signal")
    @classmethod
    def _loopback(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(f"//{value}")
            known = url.hostname in LOOPBACK_HOSTS and url.port is not None and url.netloc == value
        except ValueError:
            known = False
        if not known:
            raise ValueError("should be a loopback address and a port, as 127.0.0.1:8002")
        return value

    @field_validator("public_url", "media_url")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = _web_url(value)
        if url.scheme == "http" and url.hostname not in LOOPBACK_HOSTS:
            raise ValueError("should begin with https:// (plain http:// is for localhost only)")
        return value.rstrip("/")

    @field_validator("carrier_api_url", "openai_base_url")
    @classmethod
    def _service(cls, value: str | None) -> str | None:
        if value is None:
            return None
        _web_url(value)
        return value.rstrip("/")

    @field_validator("database_url", "stages_database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^(sqlite:///|postgres(ql)?://).", value):
            raise ValueError("should be sqlite:///path/to/file.db or postgresql://user@host/name")
        return value

    @field_validator("object_store_url")
    @classmethod
    def _objects(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^(file:///|(s3a?|gs|az|azure|abfss?)://[^/]).*", value):
            raise ValueError("should be s3://bucket/prefix, gs://, az:// or a folder as file:///path")
        return value

    @model_validator(mode="after")
    def _together(self) -> "Settings":
        if self.vad_off_threshold > self.vad_on_threshold:
            raise ValueError("CALLREEL_VAD_OFF_THRESHOLD should not be above CALLREEL_VAD_ON_THRESHOLD")
        if (self.api_key_sid is None) != (self.api_key_secret is None):
            raise ValueError("TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET should be set together")
        if (self.object_store_key_id is None) != (self.object_store_secret is None):
            raise ValueError(
                "CALLREEL_OBJECT_STORE_KEY_ID and CALLREEL_OBJECT_STORE_SECRET should be set together"
            )
        if self.engine == AUTO and any("." not in option for option in self.engine_options):
            raise ValueError(
                "CALLREEL_ENGINE_OPTIONS with CALLREEL_ENGINE=auto should name the engine, as faster-whisper.device=cpu"
            )
        return self

    @property
    def app_database_url(self) -> str:
        """SQLAlchemy URL of calls and transcripts."""
        return self.database_url or f"sqlite:///{self.data_dir / 'app.db'}"

    @property
    def durable_database_url(self) -> str:
        """SQLAlchemy URL of the durable stages' own database. On PostgreSQL a schema of its own in the same one."""
        shared = (
            self.database_url if self.database_url and not self.database_url.startswith("sqlite") else None
        )
        return self.stages_database_url or shared or f"sqlite:///{self.data_dir / 'stages.db'}"

    @property
    def objects_dir(self) -> Path:
        """Folder that layer paths are relative to."""
        if self.object_store_url is None or not self.object_store_url.startswith("file:"):
            return self.data_dir
        return Path(unquote(urlsplit(self.object_store_url).path))

    @property
    def stream_url(self) -> str:
        """Public address of the media socket, without a query. Always `wss`: the carrier connects to nothing else."""
        return f"wss:{(self.media_url or self.public_url).partition(':')[2]}{MEDIA_PATH}"

    @property
    def final_engine_name(self) -> EngineName:
        return self.final_engine or self.engine

    @property
    def prices(self) -> Prices:
        return Prices(
            currency=self.price_currency,
            client_leg_per_minute=self.price_client_leg_per_minute,
            number_leg_per_minute=self.price_number_leg_per_minute,
            stream_per_minute=self.price_stream_per_minute,
            recording_per_minute=self.price_recording_per_minute,
            storage_per_minute_month=self.price_storage_per_minute_month,
        )

    @property
    def sources(self) -> dict[str, str]:
        """Where each setting that is not a default came from: environment, command line or a file's name."""
        return self._sources

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret in clear, for the log's filter. Never print it."""
        single = (self.auth_token, self.api_key_secret, self.openai_api_key, self.object_store_secret)
        return tuple(s.get_secret_value() for s in (*single, *self.shared_keys.values()) if s is not None)

    def url(self, path: str) -> str:
        """Public address of `path`, which begins with a slash."""
        return self.public_url + path


def work_queues(text: str) -> dict[str, int]:
    """`fetch=8,judge` as how many of each at once. Raises ValueError."""
    if text.strip() == "none":
        return {}
    found: dict[str, int] = {}
    for name, _, number in (part.strip().partition("=") for part in text.split(",") if part.strip()):
        number = number or str(WORK_QUEUES.get(name, ""))
        if (
            name not in WORK_QUEUES
            or not number.isascii()
            or not number.isdecimal()
            or not 1 <= int(number) <= 1000
        ):
            raise ValueError(
                f"should be none, or a list of {', '.join(WORK_QUEUES)}, each with =1 to =1000 or without"
            )
        found[name] = int(number)
    return found


def env_names(name: str) -> tuple[str, ...]:
    """Every variable that sets `name`, the one to recommend first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return (*(choice for choice in alias.choices if isinstance(choice, str)), PREFIX + name.upper())
    return (PREFIX + name.upper(),)


def env_name(name: str) -> str:
    """The variable to recommend for `name`."""
    return env_names(name)[0]


def _web_url(value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("should be a web address as https://example.com") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("should be a web address as https://example.com")
    if url.query or url.fragment or url.username or "?" in value or "#" in value:
        raise ValueError("should be a web address without user name, query and fragment")
    return url
