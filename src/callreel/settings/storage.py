"""Settings of databases, files and retention."""

import re
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from callreel.domain.retention import parse_rules
from callreel.settings.values import Options


class StorageSettings(BaseSettings):
    """Where rows and audio files are stored."""

    title: ClassVar[str] = "Storage"

    data_dir: Path = Field(
        default=Path("callreel-data"),
        description="Folder for the recordings and, by default, the databases.",
    )
    database_url: str | None = Field(
        default=None,
        description="Database of calls and transcripts. Default: the file app.db in the data folder.",
    )
    stages_database_url: str | None = Field(
        default=None,
        description="Database of the durable workflows. Default: the PostgreSQL database of the calls, else the file stages.db in the data folder.",
    )
    object_store_url: str | None = Field(
        default=None,
        description="Where audio files are stored: s3://bucket/prefix, gs://, az:// or file:///folder. Default: the data folder. With an object store the data folder is the spool.",
    )
    object_store_options: Options = Field(
        default={},
        description="More options for the object store as name=value,name=value, for example endpoint and region; obstore documents them.",
    )
    object_store_key_id: str | None = Field(
        default=None,
        description="Access key ID of an S3 store. Default: AWS_ACCESS_KEY_ID or the provider's other credential sources.",
    )
    object_store_secret: SecretStr | None = Field(
        default=None, description="Secret access key of the S3 store."
    )
    object_store_timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="Timeout of one request to the object store, in seconds."
    )
    sync_interval_s: float = Field(
        default=5,
        gt=0,
        le=3600,
        description="Interval in seconds at which growing files are synced to the disk; a power cut loses at most this much audio.",
    )
    min_free_mb: int = Field(
        default=512,
        ge=0,
        le=1_000_000,
        description="/health reports a failure when less disk space than this is free, in MiB.",
    )

    @field_validator("database_url", "stages_database_url")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^(sqlite:///|postgres(ql)?://).", value):
            raise ValueError("should be sqlite:///path/to/file.db or postgresql://user@host/name")
        return value

    @field_validator("object_store_url")
    @classmethod
    def _check_object_store(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^(file:///|(s3a?|gs|az|azure|abfss?)://[^/]).*", value):
            raise ValueError("should be s3://bucket/prefix, gs://, az:// or a folder such as file:///path")
        return value

    @property
    def app_database_url(self) -> str:
        """SQLAlchemy URL of the database of calls and transcripts."""
        return self.database_url or f"sqlite:///{self.data_dir / 'app.db'}"

    @property
    def durable_database_url(self) -> str:
        """SQLAlchemy URL of the workflow database: on PostgreSQL a separate schema in the database of the calls."""
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


class EncryptionSettings(BaseSettings):
    """Encryption at rest: it is on when one of the sources of master keys is set."""

    title: ClassVar[str] = "Encryption"

    encryption_keys: SecretStr | None = Field(
        default=None,
        description="Master keys as id=base64,id=base64; the first one is current. With a master key, audio and the text of calls are encrypted at rest. callreel keys new makes one.",
    )
    encryption_keys_file: Path | None = Field(
        default=None, description="Instead: a file with the master keys, one per line."
    )
    encryption_keys_command: str | None = Field(
        default=None,
        description="Instead: a command that prints the master keys, for example one that fetches them from a KMS. Runs without a shell, when a process starts and when it meets an unknown key.",
    )
    encryption_search: Literal["tokens", "off"] = Field(
        default="tokens",
        description="With encryption, how words are found: by keyed tokens of each turn's words, which reveal equal words to a thief of the database, or not at all.",
    )


class RetentionSettings(BaseSettings):
    """Archive, retention policies and deletion at the carrier."""

    title: ClassVar[str] = "Retention"

    archive: Literal["after_verified", "after_days", "never"] = Field(
        default="after_days",
        description="When a call's audio is converted to FLAC and its derived files are deleted: an hour after a verified or explained verdict, some days after any verdict, or never.",
    )
    archive_after_days: int = Field(
        default=30, ge=0, le=36_500, description="With CALLREEL_ARCHIVE=after_days: days after the verdict."
    )
    retention: str = Field(
        default="",
        description="Retention policies: rules with semicolons between them, such as number=+4930* audio=30; verdict=suspect call=never; audio=90 call=730. Conditions: number, agent, verdict, direction, label; data: audio, text, numbers, call, in days after the verdict or never. For each kind of data the first rule that matches decides. Default: nothing is deleted.",
    )
    reconcile_days: int = Field(
        default=2,
        ge=1,
        le=40,
        description="Every 15 minutes the carrier's recordings of this many days are compared with the database.",
    )
    delete_at_carrier: Literal["never", "after_days"] = Field(
        default="never",
        description="Whether the carrier's copy of a recording is deleted once the local copy is verified.",
    )
    delete_after_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="With CALLREEL_DELETE_AT_CARRIER=after_days: days after the verdict.",
    )
    workflow_history_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days after which the records of finished workflows are deleted. Calls, audio and transcripts stay.",
    )

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, value: str) -> str:
        parse_rules(value)
        return value
