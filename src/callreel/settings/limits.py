"""Settings of limits, timeouts, workers and logging."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

WORK_QUEUES: Final = {"download": 8, "transcribe": 1, "compare": 4, "analyse": 2}
"""The queues of the stages after a call, each with its default concurrency per process."""


def work_queues(text: str) -> dict[str, int]:
    """`download=8,compare` as the concurrency by queue; a queue without a number gets its default. Raises ValueError."""
    if text.strip() == "none":
        return {}
    found: dict[str, int] = {}
    for name, _, number in (part.strip().partition("=") for part in text.split(",") if part.strip()):
        number = number or str(WORK_QUEUES.get(name, ""))
        valid = name in WORK_QUEUES and number.isascii() and number.isdecimal() and 1 <= int(number) <= 1000
        if not valid:
            names = ", ".join(WORK_QUEUES)
            raise ValueError(f"should be none, or a list of {names}, each optionally with =1 to =1000")
        found[name] = int(number)
    return found


class LimitSettings(BaseSettings):
    """Limits, timeouts and workers."""

    title: ClassVar[str] = "Limits and timeouts"

    block_ms: int = Field(
        default=160,
        ge=20,
        le=1000,
        description="Audio is written in blocks of this length, in milliseconds; media sockets of calls without live transcription are read at the same interval. A killed process loses at most 80 ms more.",
    )
    media_workers: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Number of separate processes for the media sockets, each with CALLREEL_ENGINE_WORKERS engines, so that no page or report delays audio. 0: the server's own process.",
    )
    max_calls: int = Field(
        default=1000,
        ge=1,
        le=100000,
        description="Maximum number of calls that one process records at once; further media streams are refused with code 1013.",
    )
    max_connections: int = Field(
        default=2000,
        ge=64,
        le=100000,
        description="Maximum number of open connections for pages and callbacks. At the maximum, the connection that has waited longest for a request is closed for a new one. Fewer if the process may not open enough files: those of CALLREEL_MAX_CALLS calls are reserved.",
    )
    max_connections_per_address: int = Field(
        default=200,
        ge=1,
        le=100000,
        description="Maximum number of open connections from one address; further ones are refused. Trusted proxies and this machine are exempt.",
    )
    request_timeout_s: float = Field(
        default=10,
        gt=0,
        le=600,
        description="A connection without a complete request head after this long is closed, in seconds.",
    )
    body_timeout_s: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="A connection whose request body is incomplete after this long is closed, in seconds.",
    )
    drain_timeout_s: float = Field(
        default=20,
        ge=0,
        le=86400,
        description="After SIGTERM, how long to wait for active calls to end, in seconds; new calls are refused meanwhile.",
    )
    stream_idle_timeout_s: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="A media stream without any message for this long is closed, in seconds.",
    )
    stream_start_timeout_s: float = Field(
        default=10,
        gt=0,
        le=120,
        description="A media socket without a start message after this long is closed, in seconds.",
    )
    work_queues: Annotated[
        dict[str, int],
        NoDecode,
        BeforeValidator(lambda value: work_queues(value) if isinstance(value, str) else value),
    ] = Field(
        default=WORK_QUEUES,
        description="Queues of the stages after a call that this process works on, with their concurrency: download, transcribe, compare and analyse, as download=8,transcribe=1. A name alone means its default; none leaves all work to other processes.",
    )
    download_attempts: int = Field(
        default=8,
        ge=1,
        le=100,
        description="Attempts to download a cloud recording before the workflow is parked.",
    )
    fetch_timeout_s: float = Field(
        default=60, gt=0, le=3600, description="Timeout of one request to the carrier, in seconds."
    )
    recording_grace_s: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="Time to wait for the recording callback after a call before the carrier is queried, in seconds.",
    )
    recording_deadline_s: float = Field(
        default=86400,
        gt=0,
        le=2592000,
        description="Time after a call at which its recording is declared missing, in seconds.",
    )
    late_stream_ms: int = Field(
        default=2000,
        ge=0,
        le=60000,
        description="The verdict reports a live layer that begins later than this, in milliseconds.",
    )


class LogSettings(BaseSettings):
    """Logs and traces."""

    title: ClassVar[str] = "Logs and traces"

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = Field(default="info", description="Minimum level of log lines.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines as text, or as one JSON object per line."
    )
    otel_endpoint: str | None = Field(
        default=None,
        description="Base URL of an OpenTelemetry collector that receives traces by OTLP over HTTP, such as http://127.0.0.1:4318. Default: no traces. Requires the extra otel.",
    )
