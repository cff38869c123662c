import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Connection

from callreel.asr.engine import Capabilities, RecognizedWord, Transcription
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import Samples
from callreel.domain.call import Role
from callreel.domain.errors import EngineError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.phrases import PhraseKind, Phrases
from callreel.domain.transcript import Final, TranscriptKind, Word
from callreel.live.endpointing import NoTranscript
from callreel.live.phrase_watch import PhraseWatch
from callreel.live.transcript import save_live_transcript
from callreel.live.transcription import LiveTranscription
from callreel.runtime.counters import Counters
from callreel.store.calls import calls
from callreel.store.transcripts import finals, live_scores, transcripts
from callreel.store.transcripts.transcripts import TranscriptRow
from tests.support.installation import (
    Installation,
    QuickHost,
    a_call,
    eventually,
    leg,
    silence,
    speech,
    transcription,
)

CALL = CallId("000000000001")


@asynccontextmanager
async def live(
    installation: Installation, host: EngineHost, **options: object
) -> AsyncIterator[LiveTranscription]:
    service = transcription(installation, host, **options)  # type: ignore[arg-type]
    service.start()
    try:
        yield service
    finally:
        await service.close()


def say(service: LiveTranscription, role: Role, *segments_ms: int, call_id: CallId = CALL) -> None:
    """Let a party say so many segments in one breath of the event loop."""
    endpointer = service.endpointer(call_id, role)
    for segment_ms in segments_ms:
        said = np.concatenate([speech(segment_ms), silence(1_000)])
        endpointer.push(said, np.repeat(said, 2))
    endpointer.pause()


def kept(installation: Installation, call_id: CallId = CALL) -> list[Final]:
    with installation.database.read() as conn:
        return finals.of_call(conn, call_id)


def transcript(installation: Installation, call_id: CallId = CALL) -> TranscriptRow | None:
    with installation.database.read() as conn:
        return transcripts.latest(conn, call_id, TranscriptKind.LIVE)


def published(installation: Installation, kind: EventKind) -> list[LiveEvent]:
    return [event for event in installation.published if event.kind is kind]


async def test_final_is_stored_before_it_is_published(installation: Installation) -> None:
    a_call(installation)
    rows_at_telling: list[int] = []
    publish = installation.bus.publish

    def look_first(event: LiveEvent) -> None:
        if event.kind is EventKind.FINAL:
            rows_at_telling.append(len(kept(installation)))
            assert event.id is not None and event in installation.stored_events()
        publish(event)

    installation.bus.publish = look_first  # type: ignore[method-assign]

    async with live(installation, QuickHost(partials=False)) as service:
        say(service, Role.AGENT, 800, 600)
        await service.finish_call(CALL)
    assert rows_at_telling == [1, 2]


async def test_stored_live_transcript_is_announced_to_the_work_after_the_call(
    installation: Installation,
) -> None:
    a_call(installation)
    stored: list[object] = []
    async with live(installation, QuickHost(partials=False)) as service:
        service.transcript_stored = lambda: stored.append(transcript(installation))
        say(service, Role.AGENT, 800, 600)
        await service.finish_call(CALL)
    assert len(stored) == 1 and stored[0] is not None


async def test_words_lie_where_the_segment_lies(installation: Installation) -> None:
    a_call(installation)

    async with live(installation, QuickHost(partials=False)) as service:
        say(service, Role.AGENT, 800, 600)
        await service.finish_call(CALL)
    first, second = kept(installation)
    assert (first.segment.role, first.segment.number, first.segment.start_ms) == (Role.AGENT, 0, 0)
    assert first.segment.end_ms == first.words[0].end_ms and first.text == f"{first.segment.end_ms}ms"
    assert second.segment.number == 1 and 1_250 <= second.segment.start_ms <= 1_350
    assert (second.words[0].start_ms, second.words[0].end_ms) == (
        second.segment.start_ms,
        second.segment.end_ms,
    )
    data = published(installation, EventKind.FINAL)[1].data
    assert (data["role"], data["number"], data["text"]) == ("agent", 1, second.text)
    assert (data["start_ms"], data["end_ms"]) == (second.segment.start_ms, second.segment.end_ms)
    assert (data["confidence"], data["failed"]) == (0.5, False)


async def test_partial_of_a_closed_segment_is_not_published(
    installation: Installation,
) -> None:
    a_call(installation)

    host = QuickHost()
    async with live(installation, host) as service:
        endpointer = service.endpointer(CALL, Role.AGENT)
        said = speech(1_600)
        endpointer.push(said, np.repeat(said, 2))
        await eventually(lambda: host.asked)
        assert published(installation, EventKind.PARTIAL) != []
        host.gate.clear()
        endpointer.push(said, np.repeat(said, 2))
        await eventually(lambda: len(host.asked) == 2)
        quiet = silence(1_000)
        endpointer.push(quiet, np.repeat(quiet, 2))
        host.gate.set()
        await service.finish_call(CALL)
        assert [partial for _, partial in host.asked] == [True, True, False]
    kinds = [
        event.kind for event in installation.published if event.kind in (EventKind.PARTIAL, EventKind.FINAL)
    ]
    assert kinds == [EventKind.PARTIAL, EventKind.FINAL]
    partial = published(installation, EventKind.PARTIAL)[0]
    assert partial.id is None
    assert (partial.data["role"], partial.data["number"], partial.data["text"]) == ("agent", 0, "1600ms")


async def test_unchanged_partial_is_not_published(installation: Installation) -> None:
    a_call(installation)

    host = QuickHost(lambda samples, partial: [RecognizedWord("hello", 0, 300, 0.5)])
    async with live(installation, host) as service:
        endpointer = service.endpointer(CALL, Role.AGENT)
        said = speech(1_600)

        async def say_more() -> None:
            before = len(host.asked)
            endpointer.push(said, np.repeat(said, 2))
            await eventually(lambda: len(host.asked) > before)

        for _ in range(3):
            await say_more()
        await service.finish_call(CALL)
    assert [
        (event.data["stable"], event.data["tentative"])
        for event in published(installation, EventKind.PARTIAL)
    ] == [
        ("", "hello"),
        ("hello", ""),
    ]


async def test_call_is_decoded_in_its_language_if_supported(
    installation: Installation,
) -> None:
    a_call(installation)
    asked: list[str] = []

    class Polyglot(QuickHost):
        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, on_request=("de",))

        async def decode(
            self, segments: Sequence[Samples], *, partial: bool = False, language: str = ""
        ) -> list[Transcription]:
            asked.append(language)
            return await super().decode(segments, partial=partial)

    async with live(installation, Polyglot(partials=False)) as service:
        said = np.concatenate([speech(800), silence(1_000)])
        service.endpointer(CALL, Role.AGENT, language="de").push(said, np.repeat(said, 2))
        await eventually(lambda: asked)
        assert isinstance(service.endpointer(CALL, Role.TECHNICIAN, language="cy"), NoTranscript)
        await service.finish_call(CALL)
    assert asked == ["de"]


async def test_engine_failure_leaves_a_failed_final_and_ends_the_call(
    installation: Installation,
) -> None:
    a_call(installation)
    counters = Counters()

    def grumble(samples: Samples, partial: bool) -> list[RecognizedWord]:
        raise EngineError("no words for this")

    async with live(installation, QuickHost(grumble), counters=counters) as service:
        say(service, Role.TECHNICIAN, 1_500)
        await service.finish_call(CALL)
    (final,) = kept(installation)
    assert (final.failed, final.words) == (True, ())
    assert published(installation, EventKind.FINAL)[0].data["failed"] is True
    assert counters.snapshot()["segments_failed"] >= 1
    found = transcript(installation)
    assert found is not None and found.turns == ()


async def test_finishing_waits_for_every_final_and_keeps_the_transcript(installation: Installation) -> None:
    a_call(installation)

    host = QuickHost(partials=False)
    host.gate.clear()
    async with live(installation, host) as service:
        say(service, Role.AGENT, 800, 600)
        say(service, Role.TECHNICIAN, 700)
        finishing = asyncio.create_task(service.finish_call(CALL))
        await eventually(lambda: host.asked)
        assert service.finals_waiting == 2
        assert not finishing.done() and transcript(installation) is None
        host.gate.set()
        await asyncio.wait_for(finishing, 10)
    found = transcript(installation)
    assert found is not None and (found.engine, found.kind) == ("quick", TranscriptKind.LIVE)
    assert sorted((turn.role, turn.text.count("ms")) for turn in found.turns) == [
        (Role.AGENT, 2),
        (Role.TECHNICIAN, 1),
    ]
    (event,) = published(installation, EventKind.TRANSCRIPT)
    assert event.data == {"kind": "live", "turns": 2} and event in installation.stored_events()


async def test_call_without_a_word_has_an_empty_transcript(installation: Installation) -> None:
    a_call(installation)

    async with live(installation, QuickHost()) as service:
        await service.finish_call(CALL)
    found = transcript(installation)
    assert found is not None and found.turns == ()


async def test_slow_engine_sheds_partials_and_never_finals(installation: Installation) -> None:
    a_call(installation)

    host = QuickHost()
    host.gate.clear()
    async with live(installation, host) as service:
        endpointer = service.endpointer(CALL, Role.AGENT)
        for turn in range(6):
            for place, piece in enumerate((speech(900), speech(900), silence(1_000))):
                endpointer.push(piece, np.repeat(piece, 2))
                await asyncio.sleep(0)  # speech is detected after this turn of the event loop
                installation.clock.step(piece.size / 8_000)
                if (turn, place) == (0, 1):
                    await eventually(lambda: host.asked)
        endpointer.pause()
        assert service.lag_ms() >= 10_000
        host.gate.set()
        await service.finish_call(CALL)
    assert [final.segment.number for final in kept(installation)] == list(range(6))
    assert len(host.asked) == 1 + 6
    assert service.partials_shed >= 5, "of six segments that each wanted a partial, one was being decoded"


async def test_calls_take_turns(installation: Installation) -> None:
    """A call with much to decode does not keep another one waiting for all of it."""
    busy, other = a_call(installation, 1).id, CallId("other0000000")
    with installation.database.write() as conn:
        calls.insert(conn, replace(installation.call(busy), id=other, leg_sid=leg(2)))

    host = QuickHost(partials=False)
    host.gate.clear()
    async with live(installation, host) as service:
        say(service, Role.AGENT, *[600] * 5, call_id=busy)
        await eventually(lambda: host.asked)
        say(service, Role.AGENT, 600, call_id=other)
        host.gate.set()
        await service.finish_call(other)
        await service.finish_call(busy)
    order = [event.call_id for event in published(installation, EventKind.FINAL)]
    assert order.index(other) <= 2 and len(order) == 6


async def test_with_a_real_engine_process_that_dies(installation: Installation) -> None:
    a_call(installation)
    script = EngineChoice(
        "python:tests.asr.scripted",
        {"text": "good morning|good bye", "deaths": 1, "folder": str(installation.folder), "partials": False},
    )

    host = EngineHost(script, 1)
    await host.start()
    try:
        async with live(installation, host) as service:
            say(service, Role.AGENT, 800, 600)
            await service.finish_call(CALL)
    finally:
        await host.close()
    assert host.restarts == 1
    assert [final.text for final in kept(installation)] == ["good morning", "good bye"]
    found = transcript(installation)
    assert found is not None and found.engine == "scripted"
    assert " ".join(turn.text for turn in found.turns) == "good morning good bye"


def test_keeping_the_transcript_twice_keeps_one(installation: Installation) -> None:
    a_call(installation)
    for _ in range(2):
        save_live_transcript(installation.database, installation.publisher, CALL, "quick")
    found = transcript(installation)
    assert found is not None and found.revision == 1


@pytest.fixture
def failing_once(installation: Installation) -> Iterator[list[int]]:
    """The publisher fails to store the first final; afterwards it works again."""
    failures = [1]
    record = installation.publisher.record

    def sometimes(conn: object, event: LiveEvent) -> LiveEvent:
        if event.kind is EventKind.FINAL and failures and failures.pop():
            raise RuntimeError("the disk is full")
        return record(conn, event)  # type: ignore[arg-type]

    installation.publisher.record = sometimes  # type: ignore[method-assign]
    yield failures


async def test_failure_to_store_a_final_does_not_end_the_decoding(
    installation: Installation, failing_once: list[int]
) -> None:
    a_call(installation)

    async with live(installation, QuickHost(partials=False)) as service:
        say(service, Role.AGENT, 800, 600)
        await asyncio.wait_for(service.finish_call(CALL), 1)
    assert 1 in [final.segment.number for final in kept(installation)]


async def test_closing_waits_for_a_final_that_is_being_stored(installation: Installation) -> None:
    a_call(installation)
    storing, go_on = threading.Event(), threading.Event()
    record = installation.publisher.record_all

    def slowly(conn: Connection, events: Sequence[LiveEvent]) -> list[LiveEvent]:
        if any(event.kind is EventKind.FINAL for event in events):
            storing.set()
            go_on.wait(5)
        return record(conn, events)

    installation.publisher.record_all = slowly  # type: ignore[method-assign]

    before = asyncio.all_tasks()
    try:
        async with live(installation, QuickHost(partials=False)) as service:
            say(service, Role.AGENT, 800)
            await eventually(storing.is_set)
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert asyncio.all_tasks() - before == set()
    finally:
        go_on.set()
    assert len(kept(installation)) == 1


async def test_call_without_live_transcription_has_an_empty_transcript(installation: Installation) -> None:
    a_call(installation)
    service = transcription(replace(installation, listen=False), QuickHost())
    say(service, Role.AGENT, 800)
    await service.finish_call(CALL)
    found = transcript(installation)
    assert found is not None and found.turns == ()


async def test_what_reading_along_was_worth_is_kept_with_the_call(installation: Installation) -> None:
    a_call(installation)

    host = QuickHost()
    async with live(installation, host) as service:
        endpointer = service.endpointer(CALL, Role.AGENT)
        said = speech(1_600)
        endpointer.push(said, np.repeat(said, 2))
        await eventually(lambda: published(installation, EventKind.PARTIAL))
        host.gate.clear()
        quiet = silence(1_000)
        endpointer.push(quiet, np.repeat(quiet, 2))
        await eventually(lambda: host.finals)
        installation.clock.step(3)
        host.gate.set()
        await service.finish_call(CALL)
    with installation.database.read() as conn:
        score = live_scores.of_call(conn, CALL)
    assert score is not None
    # The engine's one word says how long the audio is, so that the final takes the partial's back, three seconds late.
    assert (score.live_words, score.late, score.retracted, score.words) == (1, 1, 1, None)


class FailingWatch(PhraseWatch[str]):
    def __init__(self) -> None:
        super().__init__({}, lambda key, match: None)

    def stable(self, call_id: CallId, role: Role, number: int, words: Sequence[Word]) -> None:
        raise IndexError("no match has this place")

    final = stable


async def test_watch_that_fails_costs_no_text_and_no_other_match(installation: Installation) -> None:
    a_call(installation)
    found: list[int] = []
    regex = PhraseWatch(
        {"ms": (Phrases(["[0-9]+ms"], PhraseKind.REGEX), None)}, lambda key, match: found.append(match.number)
    )
    async with live(installation, QuickHost(), watches=(FailingWatch(), regex)) as service:
        endpointer = service.endpointer(CALL, Role.AGENT)
        said = speech(1_600)
        endpointer.push(said, np.repeat(said, 2))
        await eventually(lambda: published(installation, EventKind.PARTIAL))
        endpointer.pause()
        await service.finish_call(CALL)
    assert [final.segment.number for final in kept(installation)] == found == [0]
