"""A finished call with audio of the included voices in all three layers and timed words, for tests of the review page."""

import hashlib

import numpy as np
import soundfile

from callreel.audio.resample import to_rate
from callreel.audio.samples import Samples
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import CallId, LegSid, RecordingSid, StreamSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.transcript import Final, Segment, TranscriptKind, Turn, Word
from callreel.domain.verdict import Comparison, Verdict
from callreel.simulator.sound.voices import load_voice, shipped_voice
from callreel.store.calls import calls, layers, legs, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.transcripts import finals, transcripts
from tests.support.seed import Seed, at
from tests.support.service_call import Line, shipped_lines

SPOKEN = CallId("4123456789ab")
LEG = LegSid("CA" + SPOKEN * 2 + "00000000")
LIVE_OFFSET_MS = 400
MISRECOGNIZED = {"elevator": "escalator", "library": "livery", "doors": "stores"}


def spoken_lines() -> tuple[Line, ...]:
    """The lines of the call, with their times in the recording."""
    return shipped_lines()


def add_spoken_call(place: Seed, began_s: float = 2400) -> CallId:
    """Add the call in its final state. `began_s` counts from noon of the seed."""
    voices = {role: load_voice(shipped_voice(role)) for role in Role}
    long = max(len(voice) for voice in voices.values())
    sound = {role: np.pad(voice, (0, long - len(voice))) for role, voice in voices.items()}
    duration_ms = long // 8
    row = CallRow(
        id=SPOKEN, direction=Direction.OUTGOING, agent="maria", remote_number="+12125550144", leg_sid=LEG,
        inbound_role=Role.AGENT, created_at=at(began_s), answered_at=at(began_s + 3),
    )  # fmt: skip
    recording = RecordingSid("RE" + SPOKEN * 2 + "00000000")
    with place.database.write() as conn:
        assert calls.insert(conn, row)
        legs.upsert(conn, LegRow(LEG, SPOKEN, Role.AGENT, "completed", None, at(began_s)))
        stream = StreamSid("MZ" + SPOKEN * 2)
        streams.insert(conn, StreamRow(stream, SPOKEN, LEG, 0, at(began_s)))
        ended = at(began_s + 3 + duration_ms / 1000)
        streams.finish(conn, stream, ended, EndedBy.STOP, {})
        calls.set_state(conn, SPOKEN, CallState.ENDED, ended)
        recordings.upsert(
            conn, recordings.RecordingRow( recording, SPOKEN, LEG, CloudState.COMPLETED, ended, channels=2,
            duration_s=duration_ms // 1000, error_code=0,
        ))  # fmt: skip
        recordings.set_state(conn, recording, CloudState.STORED, ended)
    _sound(place, sound)
    _words(place)
    with place.database.write() as conn:
        compared = tuple(
            Comparison(role, duration_ms - LIVE_OFFSET_MS, duration_ms, float(LIVE_OFFSET_MS), 0.0, 0.99, 0)
            for role in Role
        )
        calls.set_verdict(conn, SPOKEN, Verdict.VERIFIED, (), compared)
        calls.set_state(conn, SPOKEN, CallState.CLOSED, at(began_s + 200))
    return SPOKEN


def _sound(place: Seed, sound: dict[Role, Samples]) -> None:
    both = np.stack([sound[Role.AGENT], sound[Role.TECHNICIAN]], axis=1)
    _layer(place, Layer.CLOUD, None, f"twilio_recordings/{LEG}_RE.wav", both, 8000)
    late = LIVE_OFFSET_MS * 8
    for role, samples in sound.items():
        _layer(
            place, Layer.CLOUD_CHANNEL, role, f"twilio_recordings/{LEG}_{role}.wav", samples[:, None], 8000
        )
        name = f"audio_recordings/{role}_{SPOKEN}_20261122T124000Z"
        _layer(place, Layer.LIVE_8K, role, f"{name}_8000Hz.wav", samples[late:, None], 8000)
        fine = to_rate(samples[late:], 8000, 16000)
        _layer(place, Layer.LIVE_16K, role, f"{name}_16000Hz.wav", fine[:, None], 16000)


def _layer(place: Seed, layer: Layer, role: Role | None, path: str, samples: Samples, rate_hz: int) -> None:
    where = place.blobs.path(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(where, samples, rate_hz, subtype="PCM_16", format="WAV")
    file = LayerFile(
        layer, role, path, rate_hz, samples.shape[1], len(samples) * 1000 // rate_hz,
        where.stat().st_size, hashlib.sha256(where.read_bytes()).hexdigest(), LayerState.CLOSED,
    )  # fmt: skip
    with place.database.write() as conn:
        layers.upsert(conn, SPOKEN, file)


def _words(place: Seed) -> None:
    turns = [_turn(line) for line in spoken_lines()]
    with place.database.write() as conn:
        transcripts.put(conn, SPOKEN, TranscriptKind.FINAL, "scripted", "en", turns)
        for number, line in enumerate(spoken_lines()):
            words = tuple(
                Word(MISRECOGNIZED.get(word.text, word.text), word.start_ms, word.end_ms, word.confidence)
                for word in _turn(line, LIVE_OFFSET_MS).words
            )
            begin = max(0, line.start_ms - LIVE_OFFSET_MS)
            segment = Segment(line.role, number, begin, max(begin + 1, line.end_ms - LIVE_OFFSET_MS))
            finals.put(conn, SPOKEN, Final(segment, words))
        live = [_turn(line, LIVE_OFFSET_MS, MISRECOGNIZED) for line in spoken_lines()]
        transcripts.put(conn, SPOKEN, TranscriptKind.LIVE, "scripted", "en", live)


def _turn(line: Line, earlier_ms: int = 0, replacements: dict[str, str] | None = None) -> Turn:
    """A turn with evenly spaced words, `earlier_ms` before their position in the recording."""
    plain = [word.strip(".,?!").lower() for word in line.text.split()]
    each = (line.end_ms - line.start_ms) / len(plain)
    words = []
    for at_word, text in enumerate(plain):
        start = max(0, round(line.start_ms + at_word * each) - earlier_ms)
        words.append(Word((replacements or {}).get(text, text), start, start + round(each), 0.9))
    return Turn(
        line.role,
        words[0].start_ms,
        words[-1].end_ms,
        " ".join(word.text for word in words),
        0.9,
        tuple(words),
    )
