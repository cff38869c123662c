from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import numpy as np
import pytest

from callreel.asr.engine import RecognizedWord, Transcription
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechSpan, speech_spans
from callreel.domain.call import Role
from callreel.domain.errors import EngineError
from callreel.domain.events import EventKind
from callreel.domain.pause import PauseCause
from callreel.domain.phrases import PhraseKind, Trigger
from callreel.domain.transcript import Segment, TranscriptKind
from callreel.postcall.transcription import DetectedLanguage, FinalEngine, own_speech
from callreel.store.calls import calls, pauses, phrase_alerts
from callreel.store.transcripts import finals, phrase_rules
from tests.audio.voices import voice
from tests.support.installation import LoudnessDetector, one_word, silence, speech
from tests.support.recorded_call import LATE_MS, SID, Decoder, Recorded
from tests.support.rows import NOON, a_rule


@pytest.fixture
def recorded(recorded: Recorded) -> Recorded:
    """With its recording fetched and split."""
    recorded.downloading().download(SID)
    recorded.downloading().split(SID)
    return recorded


def test_final_transcript_has_each_party_where_it_spoke_in_the_recording(recorded: Recorded) -> None:
    assert recorded.transcribing().from_recording(recorded.call_id) == 2
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and (found.engine, found.model) == ("final", "model-1")
    agent, technician = found.turns
    assert (agent.role, technician.role) == (Role.AGENT, Role.TECHNICIAN)
    # A word is as long as its segment: from up to 500 ms before the speech to 450 ms after it.
    assert (agent.start_ms, technician.start_ms) == pytest.approx(
        (LATE_MS + 400 - 500, LATE_MS + 2_400 - 500), abs=200
    )
    assert agent.start_ms <= LATE_MS + 400 and agent.end_ms >= LATE_MS + 1_900
    assert technician.start_ms <= LATE_MS + 2_400 and technician.end_ms >= LATE_MS + 3_700
    event = recorded.installation.stored_events()[-1]
    assert (event.kind, event.data) == (EventKind.TRANSCRIPT, {"kind": "final", "turns": 2})


def test_engine_gets_the_segments_samples_at_16_khz(recorded: Recorded) -> None:
    given: list[Samples] = []

    def decode(samples: Samples) -> list[RecognizedWord]:
        given.append(samples)
        return []

    assert recorded.transcribing(decode).from_recording(recorded.call_id) == 0  # type: ignore[arg-type]
    lengths_ms = [samples.size // 16 for samples in given]
    assert len(given) == 2 and 1_500 <= lengths_ms[0] <= 2_500 and 1_300 <= lengths_ms[1] <= 2_300
    assert all(np.abs(samples).max() > 10_000 for samples in given)


def test_segments_go_to_the_engine_so_many_at_once_in_the_calls_own_language(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        calls.set_language(conn, recorded.call_id, "de")
    asked: list[tuple[int, str]] = []

    def decode(segments: Sequence[Samples], language: str) -> list[Transcription]:
        asked.append((len(segments), language))
        return [Transcription(one_word(samples, False), language="fr") for samples in segments]

    capabilities = replace(recorded.transcribing()._engine.capabilities, batch=4)
    for language, kept in (("", "de"), ("nl", "nl")):
        stage = recorded.transcribing()
        stage._engine = FinalEngine(capabilities, decode, language=language)
        assert stage.from_audio(recorded.call_id, f"run-{kept}") == 2
        found = recorded.transcript(TranscriptKind.FINAL)
        assert found is not None and (found.language, found.detected) == (kept, False)
    assert asked == [(1, "de"), (1, "de"), (1, "nl"), (1, "nl")], "a batch is of one channel"


def test_the_language_of_most_of_the_audio_is_the_transcripts(recorded: Recorded) -> None:
    found_out = iter(["de", "nl"])
    stage = recorded.transcribing(
        lambda samples: Transcription(one_word(samples, False), language=next(found_out))  # type: ignore[arg-type]
    )
    assert stage.from_recording(recorded.call_id) == 2
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and (found.language, found.detected) == ("de", True)
    decoded = DetectedLanguage()
    for language, length_ms in (("de", 300), ("", 9000), ("nl", 200), ("nl", 150)):
        decoded.add(language, length_ms)
    assert (decoded.language, DetectedLanguage().language) == ("nl", "")


def test_transcribing_twice_keeps_one_transcript(recorded: Recorded) -> None:
    for _ in range(2):
        recorded.transcribing().from_recording(recorded.call_id)
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and (found.revision, len(found.turns)) == (1, 2)


def test_engine_that_fails_leaves_no_half_transcript(recorded: Recorded) -> None:
    class SecondFails(Decoder):
        def __call__(self, samples: Samples) -> list[RecognizedWord]:
            if self.asked:
                raise EngineError("no words for this")
            return list(super().__call__(samples))

    with pytest.raises(EngineError):
        recorded.transcribing(SecondFails()).from_recording(recorded.call_id)
    assert recorded.transcript(TranscriptKind.FINAL) is None


def test_without_a_recording_the_live_text_is_the_final_one(recorded: Recorded) -> None:
    decoder = Decoder()
    assert recorded.transcribing(decoder).from_live(recorded.call_id) == 2
    assert decoder.asked == 0
    live, final = (recorded.transcript(kind) for kind in TranscriptKind)
    assert live is not None and final is not None
    assert final.turns == live.turns != ()


def test_call_without_speech_has_an_empty_transcript(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM finals")
        assert finals.of_call(conn, recorded.call_id) == []
    assert recorded.transcribing().from_live(recorded.call_id) == 0
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and found.turns == ()


@pytest.mark.parametrize(
    ("samples", "count"),
    [
        (silence(3_000), 0),
        (silence(0), 0),
        (speech(20), 0),
        (np.concatenate([silence(700), speech(800)]), 1),
        (np.concatenate([speech(800), silence(1_500), speech(800)]), 2),
        (np.concatenate([speech(800), silence(300), speech(800)]), 1),
        (speech(40_000), 3),
    ],
)  # fmt: skip
def test_segments_lie_within_the_channel_and_in_order(samples: Samples, count: int) -> None:
    found = list(speech_spans([samples[:1000], samples[1000:]], LoudnessDetector(), SegmenterOptions()))
    assert len(found) == count
    edges = [edge for span in found for edge in (span.start_ms, span.end_ms)]
    assert edges == sorted(edges) and all(0 <= edge <= samples.size / 8 for edge in edges)


def test_segment_that_is_the_other_partys_leaking_voice_is_left_out() -> None:
    other = voice(10, seed=1)
    samples = np.concatenate([np.zeros(480, np.int16), other[:-480] // 10])  # 60 ms later, 20 dB softer
    samples[56_000:] = voice(3, seed=2)
    spans = [SpeechSpan(1_000, 6_000, 6_000), SpeechSpan(7_000, 10_000, 10_000)]
    left_out: list[Segment] = []
    kept = list(own_speech(Role.AGENT, samples, other, spans, left_out))
    assert kept == [(1, spans[1])] and left_out == [Segment(Role.AGENT, 0, 1_000, 6_000)]
    assert len(list(own_speech(Role.AGENT, samples, None, spans, left_out))) == 2


def test_two_segments_are_decoded_at_once_and_keep_their_order(recorded: Recorded) -> None:
    together = Barrier(2)  # breaks unless both segments are in work

    def decode(samples: Samples) -> list[RecognizedWord]:
        together.wait(20)
        return one_word(samples, False)

    assert recorded.transcribing(decode).from_recording(recorded.call_id) == 2  # type: ignore[arg-type]
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and [turn.role for turn in found.turns] == [Role.AGENT, Role.TECHNICIAN]


def missing_events(recorded: Recorded) -> list[str]:
    events = recorded.installation.stored_events()
    return [str(event.data["rule"]) for event in events if event.kind is EventKind.PHRASE_ALERT]


def test_missing_phrases_raise_alerts_once_and_found_ones_remove_theirs(recorded: Recorded) -> None:
    database, said = recorded.installation.database, Decoder()
    a_rule(
        database,
        name="Greeting",
        phrases=("good morning",),
        role=Role.AGENT,
        trigger=Trigger.MISSING,
        within_ms=30_000,
    )
    a_rule(database, name="Any words", kind=PhraseKind.REGEX, phrases=("[a-z0-9]+",), trigger=Trigger.MISSING)
    a_rule(database, name="Elsewhere", phrases=("x",), number_prefix="+49", trigger=Trigger.MISSING)
    a_rule(database, name="Later", phrases=("x",), trigger=Trigger.MISSING, at=NOON + timedelta(days=9))
    for run in ("", "2"):
        recorded.transcribing(said).from_audio(recorded.call_id, run)
    assert missing_events(recorded) == ["Greeting"]

    def greeting(samples: Samples) -> list[RecognizedWord]:
        return [RecognizedWord("Good", 0, 200, 0.9), RecognizedWord("morning!", 200, 400, 0.9)]

    recorded.transcribing(greeting).from_audio(recorded.call_id, "3")  # type: ignore[arg-type]
    with database.read() as conn:
        assert phrase_alerts.of_call(conn, recorded.call_id) == []
    assert missing_events(recorded) == ["Greeting"]


def test_unusable_rule_is_skipped_and_the_others_are_checked(recorded: Recorded) -> None:
    database = recorded.installation.database
    broken = a_rule(database, name="Broken", kind=PhraseKind.REGEX, phrases=("(a",), trigger=Trigger.MISSING)
    a_rule(database, name="Greeting", trigger=Trigger.MISSING)
    assert broken.id and recorded.transcribing().from_recording(recorded.call_id) == 2
    assert missing_events(recorded) == ["Greeting"]


@pytest.mark.parametrize("live", [True, False])
def test_no_phrase_is_missing_where_nothing_was_transcribed(recorded: Recorded, live: bool) -> None:
    database = recorded.installation.database
    a_rule(database, trigger=Trigger.MISSING)
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE calls SET answered_at = created_at")
        conn.exec_driver_sql("DELETE FROM finals")
        if not live:
            conn.exec_driver_sql("DELETE FROM transcripts")
    assert recorded.transcribing().from_live(recorded.call_id) == 0
    assert missing_events(recorded) == []


def test_no_phrase_is_missing_whose_time_has_a_pause(recorded: Recorded) -> None:
    database = recorded.installation.database
    for name, within_ms in (("Before", 900), ("During", 2_000), ("Whole", None)):
        a_rule(database, name=name, trigger=Trigger.MISSING, within_ms=within_ms)
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE calls SET state = 'live'")
        pause, _ = pauses.begin(conn, recorded.call_id, PauseCause.PERSON, "ada", NOON)
        assert pause is not None
        pauses.change(conn, pause.id, start_ms=1_000, end_ms=1_500, ended_at=NOON)
    recorded.transcribing().from_audio(recorded.call_id, "1")
    assert missing_events(recorded) == ["Before"]


def test_rule_that_was_changed_after_the_call_is_not_checked_in_it(recorded: Recorded) -> None:
    database, later = recorded.installation.database, NOON + timedelta(days=9)
    rules = [a_rule(database, name=name, trigger=Trigger.MISSING, enabled=False) for name in ("Old", "New")]
    with database.write() as conn:
        for rule, at in zip(rules, (NOON, later), strict=True):
            assert phrase_rules.change(conn, rule.id, {"enabled": True}, at)
    recorded.transcribing().from_recording(recorded.call_id)
    assert missing_events(recorded) == ["Old"]
