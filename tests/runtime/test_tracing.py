"""Traces as the SDK's in-memory exporter receives them."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from callreel.asr.engine import RecognizedWord
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError
from callreel.domain.work import Workflow
from callreel.runtime.tracing import call_context, span
from tests.support.installation import Installation, answering, leg, voice_request
from tests.support.recorded_call import SID, Decoder, recorded_call

_EXPORTER = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The provider of a process can be set only once, so each test gets a cleared exporter."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
        trace.set_tracer_provider(provider)
    _EXPORTER.clear()
    yield _EXPORTER
    _EXPORTER.clear()


def names(spans: InMemorySpanExporter) -> list[str]:
    return [found.name for found in spans.get_finished_spans()]


def test_call_is_one_trace_from_voice_request_to_verdict(
    installation: Installation, spans: InMemorySpanExporter
) -> None:
    with recorded_call(installation) as recorded:
        recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    assert names(spans) == [
        "voice request", "stream", "stage download", "stage split", "stage transcribe", "stage compare",
        "stage measure",
    ]  # fmt: skip
    found = spans.get_finished_spans()
    assert len({one.context.trace_id for one in found}) == 1
    for one in found:
        attributes = one.attributes or {}
        assert attributes["callreel.leg_sid"] == leg(1)
        assert one.name == "voice request" or attributes["callreel.call_id"] == recorded.call_id
        assert not any("+1" in str(value) or "2125550" in str(value) for value in attributes.values())
    assert (found[1].attributes or {})["callreel.ended_by"] == "stop"


def test_failed_stage_is_a_failed_span_without_its_message(
    installation: Installation, spans: InMemorySpanExporter
) -> None:
    class Grumbling(Decoder):
        def __call__(self, samples: Samples) -> list[RecognizedWord]:
            raise EngineError("words that may be anybody's")

    with recorded_call(installation) as recorded:
        engine = recorded.engine(Grumbling())
        engine.work_on(Workflow.DOWNLOAD, SID)
    (failed,) = [one for one in spans.get_finished_spans() if one.status.status_code is StatusCode.ERROR]
    assert (failed.name, failed.status.description) == ("stage transcribe", "EngineError")
    assert "anybody" not in failed.to_json()


def test_other_calls_have_other_traces(installation: Installation, spans: InMemorySpanExporter) -> None:
    service = answering(installation)
    for number in (1, 2):
        service.answer(voice_request(number))
    with pytest.raises(asyncio.CancelledError), span("again", leg(1)):
        raise asyncio.CancelledError
    one, two, again = spans.get_finished_spans()
    assert one.context.trace_id == again.context.trace_id != two.context.trace_id
    parent = trace.get_current_span(call_context(leg(1))).get_span_context()
    assert parent.trace_id == one.context.trace_id and parent.is_valid
