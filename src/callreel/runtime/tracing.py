"""OpenTelemetry traces: one for each call, over all processes and stages.

The trace id of a call is derived from its parent leg's id, so that processes need not pass
it on. Without `CALLREEL_OTEL_ENDPOINT` they cost about a microsecond each and go nowhere. Attributes
are ids and counts, never a number or a text (specification: opentelemetry.io/docs/specs/otel/trace/api).
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

from callreel.domain.errors import SettingsError

Attributes = dict[str, str | int | float | bool]


def call_context(leg_sid: str) -> Context:
    """The context of a call's trace."""
    digest = hashlib.sha256(leg_sid.encode()).digest()
    parent = SpanContext(
        trace_id=int.from_bytes(digest[:16]), span_id=int.from_bytes(digest[16:24]), is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )  # fmt: skip
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def begin(name: str, leg_sid: str, **attributes: str | int | float | bool) -> Span:
    """A span that its owner ends."""
    given: Attributes = {"callreel.leg_sid": leg_sid}
    given |= {f"callreel.{key}": value for key, value in attributes.items()}
    return trace.get_tracer("callreel").start_span(name, call_context(leg_sid), attributes=given)


@contextmanager
def span(name: str, leg_sid: str, **attributes: str | int | float | bool) -> Iterator[Span]:
    """A span around a block. An exception marks it as failed by its type only: the message might contain private data."""
    started = begin(name, leg_sid, **attributes)
    try:
        yield started
    except BaseException as error:
        started.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        started.end()


def export_to(endpoint: str, process: str) -> Callable[[], None]:
    """Send this process's spans to an OTLP collector over HTTP from now on; returns a function that flushes and stops.

    Raises SettingsError without the extra.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError("CALLREEL_OTEL_ENDPOINT needs the extra: pip install 'callreel[otel]'") from None
    resource = Resource.create({"service.name": "callreel", "service.instance.id": process})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider.shutdown
